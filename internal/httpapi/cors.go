package httpapi

import (
	"net/http"
	"slices"
)

// What pages of other origins may send and read (the Fetch standard, §3.2).
// Authorization is for a gateway in front.
var (
	corsMethods = []string{"GET, HEAD, POST"}
	corsHeaders = []string{"Content-Type, Idempotency-Key, Prefer, If-None-Match, Cache-Control, Authorization"}
	corsExposed = []string{"Location, ETag, Idempotency-Replayed, Preference-Applied, Retry-After, Deprecation, Allow"}
	corsMaxAge  = []string{"7200"} // seconds; browsers keep a preflight no longer
	corsAny     = []string{"*"}
	varyOrigin  = []string{"Origin"}
)

// cors lets pages of other origins use the service. No credentials are involved,
// so any origin may be allowed.
type cors struct{ origins []string }

// newCORS allows the given origins; none, or "*" among them, allows all.
func newCORS(origins []string) cors {
	if slices.Contains(origins, "*") {
		origins = nil
	}
	return cors{origins}
}

func (c cors) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.allow(w.Header(), r.Header["Origin"])
		if isPreflight(r) {
			h := w.Header()
			h["Access-Control-Allow-Methods"] = corsMethods
			h["Access-Control-Allow-Headers"] = corsHeaders
			h["Access-Control-Max-Age"] = corsMaxAge
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// allow names the origin that may read the answer, if there is one. Vary tells
// caches that with a list the answer depends on who asks.
func (c cors) allow(h http.Header, origin []string) {
	if len(c.origins) > 0 {
		h["Vary"] = varyOrigin
	}
	switch {
	case len(origin) != 1:
		return
	case len(c.origins) == 0:
		h["Access-Control-Allow-Origin"] = corsAny
	case slices.Contains(c.origins, origin[0]):
		h["Access-Control-Allow-Origin"] = origin
	default:
		return
	}
	h["Access-Control-Expose-Headers"] = corsExposed
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}
