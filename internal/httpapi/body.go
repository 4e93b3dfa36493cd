package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

// readBody reads the whole body, of at most as many bytes, into b. A body that is
// too long is not read to its end; net/http decides whether the connection can be kept.
// Memory follows what has come, never what is announced, and all long bodies share theirs.
func (s *server) readBody(r *http.Request, b []byte, most int) ([]byte, error) {
	if r.ContentLength > int64(most) {
		return b, tooLarge(most)
	}
	held := 0
	defer func() { s.memory.release(held) }()
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, max(len(b), 1<<9))
		}
		if more := cap(b) - freeBytes - held; more > 0 {
			if err := s.memory.reserve(more); err != nil {
				return b, err
			}
			held += more
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > most:
			return b, tooLarge(most)
		case err == io.EOF: //nolint:errorlint // a Reader returns io.EOF itself
			if !Keep(r) {
				return b, errGone
			}
			return b, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return b, &wallet.Error{Code: codeRequestTimeout}
		case err != nil:
			return b, invalid([]wallet.FieldError{{Field: "body", Detail: "could not be read to its end"}})
		}
	}
}

// errGone ends a request whose connection was closed to make room for another: nobody
// reads the answer.
var errGone = &wallet.Error{Code: wallet.CodeOverloaded, Fate: wallet.NotApplied, RetryAfter: time.Second, Detail: "too many connections"}

func tooLarge(most int) error {
	return &wallet.Error{
		Code:   codeBodyTooLarge,
		Detail: fmt.Sprintf("the body must not be longer than %d bytes", most),
	}
}

// checkMediaType refuses a body that is of none of the types, not in UTF-8, or
// compressed.
func checkMediaType(h http.Header, types ...string) error {
	if slices.ContainsFunc(h["Content-Encoding"], func(e string) bool { return e != "" && !strings.EqualFold(e, "identity") }) {
		return unsupported("Content-Encoding", "must be absent: bodies are not decompressed")
	}
	for _, media := range types {
		if isMedia(h["Content-Type"], media) {
			return nil
		}
	}
	return unsupported("Content-Type", "must be "+strings.Join(types, " or ")+" in UTF-8")
}

func unsupported(header, rule string) error {
	return &wallet.Error{
		Code:   codeUnsupportedMediaType,
		Detail: header + " " + rule,
		Fields: []wallet.FieldError{{Field: header, Detail: rule}},
	}
}

func isMedia(contentType []string, wanted string) bool {
	if len(contentType) != 1 {
		return false
	}
	if contentType[0] == wanted {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType[0])
	charset, said := params["charset"]
	return err == nil && media == wanted && (!said || strings.EqualFold(charset, "utf-8"))
}
