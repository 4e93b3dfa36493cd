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

// maxBodyBytes bounds an answer: that of a thousand operations has 600 KB.
const maxBodyBytes = 4 << 20

// idleTimeout bounds how long a connection is kept unused: less than the
// service's, which would cost a request its answer.
const idleTimeout = 10 * time.Second

// sender sends the requests. It is built on fasthttp: on a machine shared with the
// service, what the client spends the service lacks, and net/http's client spends
// several times as much.
type sender struct {
	config Config
	client *fasthttp.HostClient
}

func newSender(c Config) *sender {
	at, err := url.Parse(c.URL)
	if err != nil {
		at = &url.URL{} // api.New has refused it; every request would fail here
	}
	return &sender{config: c, client: &fasthttp.HostClient{
		Addr:                      fasthttp.AddMissingPort(at.Host, at.Scheme == "https"),
		IsTLS:                     at.Scheme == "https",
		Name:                      "walletctl",
		MaxConns:                  c.parallel(),
		MaxIdleConnDuration:       idleTimeout,
		MaxResponseBodySize:       maxBodyBytes,
		MaxIdemponentCallAttempts: 1, // a request that it sent again by itself would not be counted
		Dial:                      func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, c.Timeout) },
	}}
}

// close drops the kept connections.
func (s *sender) close() { s.client.CloseIdleConnections() }

// send sends a request and reads the answer: a reply for each draft.
func (s *sender) send(t *target, drafts []draft) []reply {
	replies := make([]reply, len(drafts))
	for i, d := range drafts {
		replies[i].record = record{target: d.target, opType: d.opType, amount: d.amount}
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	s.write(request, t, drafts)
	err := s.client.DoTimeout(request, response, s.config.Timeout)
	status := response.StatusCode()
	for i := range replies {
		if replies[i].err = err; err == nil {
			replies[i].status = status
		}
	}
	if err == nil {
		s.read(replies, response)
	}
	return replies
}

// read notes what the answer told.
func (s *sender) read(replies []reply, response *fasthttp.Response) {
	r := &replies[0]
	switch {
	case s.config.Blind && (r.status < 300 || r.status == http.StatusUnprocessableEntity):
		for i := range replies {
			replies[i].record.told = toldUnread
		}
	case s.config.Reads:
		r.readWallet(response.Body())
	case s.config.Bulk > 0:
		readAll(replies, r.status, response.Body())
	default:
		r.location = string(response.Header.Peek("Location"))
		r.read(response.Body())
	}
}

func (s *sender) write(request *fasthttp.Request, t *target, drafts []draft) {
	if s.config.Reads {
		request.SetRequestURI(s.config.URL + "/api/v1/wallets/" + t.id.String())
		return
	}
	request.Header.SetMethod(http.MethodPost)
	request.Header.SetContentType("application/json")
	if s.config.Prefer != "" {
		request.Header.Set("Prefer", s.config.Prefer)
	}
	if s.config.Bulk > 0 {
		request.SetRequestURI(s.config.URL + t.path)
		request.SetBodyRaw(appendBulk(request.Body(), drafts, s.config.Keys))
		return
	}
	request.SetRequestURI(s.config.URL + "/api/v1/wallet")
	if s.config.Keys {
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	request.SetBodyRaw(appendDraft(append(request.Body(), t.prefix...), drafts[0]))
}

func appendBulk(b []byte, drafts []draft, keys bool) []byte {
	b = append(b, '[')
	for i, d := range drafts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if keys {
			b = append(append(append(b, `"idempotencyKey":"`...), uuid.NewString()...), `",`...)
		}
		b = appendDraft(append(b, `"operationType":"`...), d)
	}
	return append(b, ']')
}

// appendDraft goes on after the quote that begins the type.
func appendDraft(b []byte, d draft) []byte {
	b = append(b, d.opType.String()...)
	b = strconv.AppendInt(append(b, `","amount":`...), int64(d.amount), 10)
	return append(b, '}')
}
