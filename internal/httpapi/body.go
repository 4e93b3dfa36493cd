package httpapi

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/walletd/walletd/internal/wallet"
)

// readBody reads the whole body into b. A body that is too long is not read to
// its end; net/http decides whether the connection can be kept.
func (s *server) readBody(r *http.Request, b []byte) ([]byte, error) {
	if r.ContentLength > int64(s.MaxBodyBytes) {
		return b, s.tooLarge()
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > s.MaxBodyBytes:
			return b, s.tooLarge()
		case err == io.EOF: //nolint:errorlint // a Reader returns io.EOF itself
			return b, nil
		case err != nil:
			return b, invalid([]wallet.FieldError{{Field: "body", Detail: "could not be read to its end"}})
		}
	}
}

func (s *server) tooLarge() error {
	return &wallet.Error{
		Code:   codeBodyTooLarge,
		Detail: fmt.Sprintf("the body must not be longer than %d bytes", s.MaxBodyBytes),
	}
}

// checkMediaType refuses a body that is not JSON in UTF-8, or is compressed.
func checkMediaType(h http.Header) error {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return unsupported("Content-Encoding", "must be absent: bodies are not decompressed")
	}
	if !isJSON(h["Content-Type"]) {
		return unsupported("Content-Type", "must be application/json in UTF-8")
	}
	return nil
}

func unsupported(header, rule string) error {
	return &wallet.Error{
		Code:   codeUnsupportedMediaType,
		Detail: header + " " + rule,
		Fields: []wallet.FieldError{{Field: header, Detail: rule}},
	}
}

func isJSON(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	if contentType[0] == jsonType[0] {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType[0])
	charset, said := params["charset"]
	return err == nil && media == jsonType[0] && (!said || strings.EqualFold(charset, "utf-8"))
}
