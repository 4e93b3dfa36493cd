package httpapi

import (
	"net/http"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

// legacySpelling is the Deprecation (RFC 9745) of valletId, since 2026-01-01.
var legacySpelling = []string{"@1767225600"}

// SubmitOperation accepts a deposit or withdrawal and answers with its outcome.
func (s *server) SubmitOperation(w http.ResponseWriter, r *http.Request, _ api.SubmitOperationParams) {
	op, err := s.readOperation(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	prefer := parsePrefer(r.Header["Prefer"])
	out, err := s.Intake.Submit(r.Context(), op, prefer.wait(s.DefaultWait))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeOutcome(w, &out, prefer)
}

// readOperation reads the request; its faults are reported together.
func (s *server) readOperation(w http.ResponseWriter, r *http.Request) (wallet.Operation, error) {
	if err := checkMediaType(r.Header, jsonType[0]); err != nil {
		return wallet.Operation{}, err
	}
	buf := buffers.get()
	defer buffers.put(buf)
	var err error
	if *buf, err = s.readBody(r, *buf, s.MaxBodyBytes); err != nil {
		return wallet.Operation{}, err
	}
	key, faults := idempotencyKey(r.Header)
	body, bodyFaults := decodeSubmission(*buf)
	if body.legacy {
		w.Header()["Deprecation"] = legacySpelling
	}
	faults = append(faults, parseQuery(r).faults...)
	if faults = append(faults, bodyFaults...); len(faults) > 0 {
		return wallet.Operation{}, invalid(faults)
	}
	return wallet.Operation{
		ID:       wallet.OperationID(body.walletID, key),
		WalletID: body.walletID,
		Type:     body.opType,
		Amount:   body.amount,
		Receipt:  wallet.NoReceipt,
	}, nil
}

// idempotencyKey returns the request's key, empty if it has none.
func idempotencyKey(h http.Header) (string, []wallet.FieldError) {
	const name = "Idempotency-Key"
	values := h[name]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", []wallet.FieldError{{Field: name, Detail: "must be given once"}}
	}
	if err := wallet.CheckKey(values[0]); err != nil {
		return "", []wallet.FieldError{{Field: name, Detail: err.Error()}}
	}
	return values[0], nil
}

// writeOutcome answers a submitted operation by its status.
func writeOutcome(w http.ResponseWriter, out *wallet.Outcome, prefer preference) {
	h, op := w.Header(), &out.Operation
	h["Location"] = []string{operationLocation(op)}
	h["Cache-Control"] = noStore
	if out.Replayed {
		h["Idempotency-Replayed"] = replayed
	}
	if applied := prefer.applied(); applied != "" {
		h["Preference-Applied"] = []string{applied}
	}
	status := http.StatusOK
	switch op.Status {
	case wallet.Failed:
		writeProblem(w, refusal(op))
		return
	case wallet.Pending:
		status = http.StatusAccepted
	}
	writeJSON(w, status, jsonType, func(b []byte) []byte { return appendOutcome(b, op) })
}

// refusal is the problem of a FAILED operation: the ledger has decided that it
// moves no money.
func refusal(op *wallet.Operation) problem {
	return newProblem(&wallet.Error{Code: wallet.Code(op.Reason.String()), Operation: op}, true)
}
