package load

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// maxBodyBytes bounds an answer to a write.
const maxBodyBytes = 64 << 10

// idleTimeout bounds how long a connection is kept unused.
const idleTimeout = 10 * time.Second

// sender writes requests with as little work as net/http allows: on a machine
// shared with the service, what the client spends the service lacks.
type sender struct {
	transport *http.Transport
	url       string
	header    http.Header
	keys      bool
	timeout   time.Duration
}

func newSender(c Config, connections int) *sender {
	s := &sender{url: c.URL + "/api/v1/wallet", keys: c.Keys, timeout: c.Timeout,
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"walletctl"}}}
	if c.Prefer != "" {
		s.header.Set("Prefer", c.Prefer)
	}
	s.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.Timeout}).DialContext,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     idleTimeout, // before the service's, which would cost a request its answer
		DisableCompression:  true,
	}
	return s
}

// send sends a draft and reads the answer.
func (s *sender) send(t target, d draft) reply {
	r := reply{record: record{target: d.target, kind: d.kind, amount: d.amount}}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body(t, d)))
	if err != nil {
		r.err = err
		return r
	}
	request.Header = s.header
	if s.keys {
		request.Header = s.header.Clone()
		request.Header.Set("Idempotency-Key", uuid.NewString())
		request.GetBody = nil // else the transport sends it again by itself, uncounted
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		r.err = err
		return r
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes))
	if err != nil {
		r.err = err
		return r
	}
	r.status, r.location = response.StatusCode, response.Header.Get("Location")
	r.read(content)
	return r
}

func body(t target, d draft) []byte {
	b := make([]byte, 0, len(t.prefix)+40)
	b = append(append(b, t.prefix...), d.kind.String()...)
	b = strconv.AppendInt(append(b, `","amount":`...), int64(d.amount), 10)
	return append(b, '}')
}
