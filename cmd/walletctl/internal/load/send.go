package load

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"
)

// maxBodyBytes bounds an answer.
const maxBodyBytes = 64 << 10

// idleTimeout bounds how long a connection is kept unused: less than the
// service's, which would cost a request its answer.
const idleTimeout = 10 * time.Second

// sender sends the requests. It is built on fasthttp: on a machine shared with the
// service, what the client spends the service lacks, and net/http's client spends
// several times as much.
type sender struct {
	client  *fasthttp.HostClient
	url     string
	prefer  string
	keys    bool
	reads   bool
	blind   bool
	timeout time.Duration
}

func newSender(c Config, connections int) *sender {
	at, err := url.Parse(c.URL)
	if err != nil {
		at = &url.URL{} // api.New has refused it; every request would fail here
	}
	return &sender{url: c.URL, prefer: c.Prefer, keys: c.Keys, reads: c.Reads, blind: c.Blind, timeout: c.Timeout,
		client: &fasthttp.HostClient{
			Addr:                      fasthttp.AddMissingPort(at.Host, at.Scheme == "https"),
			IsTLS:                     at.Scheme == "https",
			Name:                      "walletctl",
			MaxConns:                  connections,
			MaxIdleConnDuration:       idleTimeout,
			MaxResponseBodySize:       maxBodyBytes,
			MaxIdemponentCallAttempts: 1, // a request that it sent again by itself would not be counted
			Dial:                      func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, c.Timeout) },
		}}
}

// close drops the kept connections.
func (s *sender) close() { s.client.CloseIdleConnections() }

// send sends a draft and reads the answer.
func (s *sender) send(t *target, d draft) reply {
	r := reply{record: record{target: d.target, kind: d.kind, amount: d.amount}}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	if s.reads {
		request.SetRequestURI(s.url + "/api/v1/wallets/" + t.id.String())
	} else {
		s.write(request, t, d)
	}
	if r.err = s.client.DoTimeout(request, response, s.timeout); r.err != nil {
		return r
	}
	r.status = response.StatusCode()
	switch {
	case s.blind && r.status < 300 || s.blind && r.status == http.StatusUnprocessableEntity:
		r.record.told = toldUnread
	case s.reads:
		r.readWallet(response.Body())
	default:
		r.location = string(response.Header.Peek("Location"))
		r.read(response.Body())
	}
	return r
}

func (s *sender) write(request *fasthttp.Request, t *target, d draft) {
	request.Header.SetMethod(http.MethodPost)
	request.SetRequestURI(s.url + "/api/v1/wallet")
	request.Header.SetContentType("application/json")
	if s.prefer != "" {
		request.Header.Set("Prefer", s.prefer)
	}
	if s.keys {
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	b := append(append(request.Body(), t.prefix...), d.kind.String()...)
	b = strconv.AppendInt(append(b, `","amount":`...), int64(d.amount), 10)
	request.SetBodyRaw(append(b, '}'))
}
