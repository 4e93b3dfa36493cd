package httpapi

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/httpapi/api"
	"github.com/walletd/walletd/internal/wallet"
)

// Bounds of a list.
const (
	defaultLimit = 50
	maxLimit     = 1000
)

// ListOperations reads a part of a wallet's operations.
func (s *server) ListOperations(w http.ResponseWriter, r *http.Request, _ api.WalletID, _ api.ListOperationsParams) {
	q := parseQuery(r, "limit", "cursor", "status", "operationType", "from", "to")
	id := q.pathID("walletId")
	selected := q.selection(id)
	if err := q.err(); err != nil {
		s.fail(w, r, err)
		return
	}
	give, err := s.memory.reserveOperations(selected.Limit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer give()
	page, err := s.History.Operations(r.Context(), id, selected)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header()["Cache-Control"] = revalidate
	writeJSON(w, http.StatusOK, jsonType, func(b []byte) []byte { return appendList(b, id, &page) })
}

// GetOperation reads one operation.
func (s *server) GetOperation(w http.ResponseWriter, r *http.Request, _ api.WalletID, _ api.ID, _ api.GetOperationParams) {
	q := parseQuery(r, "journal")
	walletID, id, receipt := q.pathID("walletId"), q.pathID("operationId"), parsed(q, "journal", "must be <partition>-<offset>", wallet.ParseReceipt)
	if err := q.err(); err != nil {
		s.fail(w, r, err)
		return
	}
	op, err := s.History.Operation(r.Context(), walletID, id, receipt)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header()["Cache-Control"] = revalidate
	writeJSON(w, http.StatusOK, jsonType, func(b []byte) []byte { return appendOperation(b, &op) })
}

// selection reads the parameters of a wallet's list.
func (q *query) selection(id uuid.UUID) wallet.Query {
	sel := wallet.Query{
		Limit:  q.limit(),
		Status: q.status(),
		Type:   parsed(q, "operationType", "must be DEPOSIT or WITHDRAW", wallet.ParseType),
		From:   q.moment("from"),
		To:     q.moment("to"),
		Before: parsed(q, "cursor", "must be the nextCursor of a list of this wallet", func(text string) (wallet.Cursor, bool) {
			return parseCursor(id, text)
		}),
	}
	if !sel.From.IsZero() && !sel.To.IsZero() && !sel.From.Before(sel.To) {
		q.add("to", "must be later than from")
	}
	return sel
}

func (q *query) limit() int {
	text, given := q.value("limit")
	if !given {
		return defaultLimit
	}
	n, ok := parseDigits(text, 31)
	if !ok || n < 1 || n > maxLimit {
		q.add("limit", "must be an integer from 1 to "+strconv.Itoa(maxLimit))
	}
	return int(n)
}

func (q *query) status() *wallet.Status {
	text, given := q.value("status")
	if !given {
		return nil
	}
	status, ok := wallet.ParseStatus(text)
	if !ok {
		q.add("status", "must be PENDING, APPLIED or FAILED")
	}
	return &status
}
