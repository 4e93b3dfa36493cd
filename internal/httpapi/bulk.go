package httpapi

import (
	"net/http"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

// maxBulkOperations bounds the operations of one request.
const maxBulkOperations = wallet.MaxRecordOperations

// linesType is newline-delimited JSON: one operation on each line.
const linesType = "application/x-ndjson"

// SubmitOperations accepts many operations of one wallet and answers with the
// outcome of each.
func (s *server) SubmitOperations(w http.ResponseWriter, r *http.Request, _ api.ID, _ api.SubmitOperationsParams) {
	ops, err := s.readBulk(w.Header(), r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	give, err := s.memory.reserveOperations(len(ops))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer give() // once the answer is written
	prefer := parsePrefer(r.Header["Prefer"])
	outs, err := s.Intake.SubmitAll(r.Context(), ops, prefer.wait(s.DefaultWait))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeOutcomes(w, outs, prefer)
}

// readBulk reads the request; its faults are reported together.
func (s *server) readBulk(answer http.Header, r *http.Request) ([]wallet.Operation, error) {
	if err := checkMediaType(r.Header, jsonType[0], linesType); err != nil {
		return nil, err
	}
	buf := bulkBuffers.get()
	defer bulkBuffers.put(buf)
	var err error
	if *buf, err = s.readBody(r, *buf, s.MaxBulkBytes); err != nil {
		return nil, err
	}
	q := parseQuery(r)
	id := q.pathID("walletId")
	if len(r.Header["Idempotency-Key"]) > 0 {
		q.add("Idempotency-Key", "must be absent: each operation has its own idempotencyKey")
	}
	ops, legacy, faults := decodeBulk(*buf, id, isMedia(r.Header["Content-Type"], linesType))
	if legacy {
		answer["Deprecation"] = legacySpelling
	}
	if faults = append(q.faults, faults...); len(faults) > 0 {
		return nil, invalid(faults)
	}
	return ops, nil
}

// writeOutcomes answers with all outcomes, in order: 200 if all are known.
func writeOutcomes(w http.ResponseWriter, outs []wallet.Outcome, prefer preference) {
	status := http.StatusOK
	for i := range outs {
		if outs[i].Operation.Status == wallet.Pending {
			status = http.StatusAccepted
			break
		}
	}
	h := w.Header()
	h["Cache-Control"] = noStore
	if applied := prefer.applied(); applied != "" {
		h["Preference-Applied"] = []string{applied}
	}
	bulkBuffers.writeJSON(w, status, jsonType, func(b []byte) []byte { return appendOutcomes(b, outs) })
}
