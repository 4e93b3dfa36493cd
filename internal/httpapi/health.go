package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/walletd/walletd/internal/httpapi/api"
)

// GetLiveness answers that the process lives.
func (s *server) GetLiveness(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, api.Liveness{Status: api.Live})
}

// GetReadiness answers whether writes can be accepted, and how each component is.
func (s *server) GetReadiness(w http.ResponseWriter, r *http.Request) {
	ready := api.Readiness{Status: api.Ready, Components: []api.Component{}}
	for _, c := range s.Health.Components() {
		status := api.Down
		if c.Up {
			status = api.Up
		}
		ready.Components = append(ready.Components, api.Component{Name: c.Name, Status: status, Detail: c.Detail})
	}
	status := http.StatusOK
	if !s.Health.Ready() {
		status, ready.Status = http.StatusServiceUnavailable, api.Unready
	}
	writeHealth(w, status, ready)
}

// writeHealth marshals v, whose types cannot fail to be.
func writeHealth(w http.ResponseWriter, status int, v any) {
	w.Header()["Cache-Control"] = noStore
	body, _ := json.Marshal(v)
	writeJSON(w, status, jsonType, func(b []byte) []byte { return append(b, body...) })
}
