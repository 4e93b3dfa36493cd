package httpapi

import (
	"net/http"
	"sync"
)

// Header values that never change; net/http only reads them.
var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	revalidate  = []string{"private, no-cache"}
	replayed    = []string{"true"}
)

// maxPooledBytes bounds the buffers that are kept for the next request.
const maxPooledBytes = 64 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

// putBuffer keeps a buffer for another request, unless a long list made it big.
func putBuffer(b *[]byte) {
	if cap(*b) <= maxPooledBytes {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// writeJSON answers with what encode appends. An error of writing means that the
// client is gone, which concerns nobody here.
func writeJSON(w http.ResponseWriter, status int, mediaType []string, encode func([]byte) []byte) {
	buf := getBuffer()
	*buf = encode(*buf)
	w.Header()["Content-Type"] = mediaType
	w.WriteHeader(status)
	_, _ = w.Write(*buf)
	putBuffer(buf)
}

func writeProblem(w http.ResponseWriter, p problem) {
	w.Header()["Cache-Control"] = noStore
	writeJSON(w, p.status, problemType, func(b []byte) []byte { return appendProblem(b, p) })
}
