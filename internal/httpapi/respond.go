package httpapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Header values that never change; net/http only reads them.
var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	revalidate  = []string{"private, no-cache"}
	replayed    = []string{"true"}
)

// pool keeps buffers for the next request, unless a long body or list made them
// longer than most.
type pool struct {
	sync.Pool
	most int
}

func newPool(first, most int) *pool {
	return &pool{sync.Pool{New: func() any { b := make([]byte, 0, first); return &b }}, most}
}

// The buffers of all requests but bulks, and those of bulks.
var (
	buffers     = newPool(1<<10, 64<<10)
	bulkBuffers = newPool(64<<10, 1<<20)
)

func (p *pool) get() *[]byte { return p.Get().(*[]byte) }

func (p *pool) put(b *[]byte) {
	if cap(*b) <= p.most {
		*b = (*b)[:0]
		p.Put(b)
	}
}

// writeJSON answers with what encode appends. An error of writing means that the
// client is gone, which concerns nobody here.
func (p *pool) writeJSON(w http.ResponseWriter, status int, mediaType []string, encode func([]byte) []byte) {
	buf := p.get()
	*buf = encode(*buf)
	h := w.Header()
	h["Content-Type"] = mediaType
	h["Content-Length"] = []string{strconv.Itoa(len(*buf))}
	if len(*buf) > freeBytes {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longAnswerTimeout))
	}
	w.WriteHeader(status)
	_, _ = w.Write(*buf)
	p.put(buf)
}

func writeJSON(w http.ResponseWriter, status int, mediaType []string, encode func([]byte) []byte) {
	buffers.writeJSON(w, status, mediaType, encode)
}

func writeProblem(w http.ResponseWriter, p problem) {
	w.Header()["Cache-Control"] = noStore
	writeJSON(w, p.status, problemType, func(b []byte) []byte { return appendProblem(b, p) })
}
