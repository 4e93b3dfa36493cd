package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/walletd/walletd/internal/httpapi/api"
)

// CreateWallet makes a wallet.
func (s *server) CreateWallet(w http.ResponseWriter, r *http.Request, _ api.CreateWalletParams) {
	key, err := s.readCreation(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	made, err := s.Intake.Create(r.Context(), key, s.DefaultWait)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h, status := w.Header(), http.StatusCreated
	h["Location"] = []string{walletLocation(made.ID)}
	h["Cache-Control"] = noStore
	if made.Replayed {
		h["Idempotency-Replayed"] = replayed
	}
	if made.Pending {
		status = http.StatusAccepted
	}
	writeJSON(w, status, jsonType, func(b []byte) []byte { return appendWallet(b, &made.Wallet) })
}

// readCreation returns the key of a request that need not have a body. Without
// one the media type means nothing, so it is not looked at.
func (s *server) readCreation(r *http.Request) (string, error) {
	buf := buffers.get()
	defer buffers.put(buf)
	var err error
	if *buf, err = s.readBody(r, *buf, s.MaxBodyBytes); err != nil {
		return "", err
	}
	key, faults := idempotencyKey(r.Header)
	faults = append(faults, parseQuery(r).faults...)
	if faults = append(faults, decodeNothing(*buf)...); len(faults) > 0 {
		return "", invalid(faults)
	}
	return key, nil
}

// GetWallet reads a wallet.
func (s *server) GetWallet(w http.ResponseWriter, r *http.Request, _ api.WalletID, _ api.GetWalletParams) {
	q := parseQuery(r, "minSequence")
	id := q.pathID("walletId")
	minSequence := parsed(q, "minSequence", "must be an integer from 0 to 9223372036854775807", parseSequence)
	if err := q.err(); err != nil {
		s.fail(w, r, err)
		return
	}
	read := s.Balances.Wallet
	if wantsFresh(r.Header) {
		read = s.Balances.Fresh
	}
	v, err := read(r.Context(), id, minSequence)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	etag := `"` + strconv.FormatInt(v.Sequence, 10) + `"`
	w.Header()["Etag"] = []string{etag}
	w.Header()["Cache-Control"] = revalidate
	if matches(r.Header["If-None-Match"], etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, jsonType, func(b []byte) []byte { return appendWallet(b, &v) })
}

// wantsFresh reports whether the client wants the ledger rather than a cache.
func wantsFresh(h http.Header) bool {
	for _, v := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-cache") {
				return true
			}
		}
	}
	return false
}

// matches reports whether one of the If-None-Match values is "*" or names etag,
// by weak comparison (RFC 9110 §13.1.2). Our ETags are digits, so that no comma
// can be inside one that matches; a "*" counts only by itself, since it may be a part
// of another's ETag.
func matches(values []string, etag string) bool {
	for _, v := range values {
		if strings.TrimSpace(v) == "*" {
			return true
		}
		for candidate := range strings.SplitSeq(v, ",") {
			if strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == etag {
				return true
			}
		}
	}
	return false
}
