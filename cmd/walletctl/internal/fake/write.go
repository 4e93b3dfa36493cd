package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// write runs a handler under the mutex, with the fault that the test chose.
func (s *Server) write(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writes++
		fault := None
		if s.Fault != nil {
			fault = s.Fault(s.writes)
		}
		switch fault {
		case Unavailable:
			problem(w, http.StatusServiceUnavailable, client.CodeUnavailable, nil)
		case Overloaded:
			problem(w, http.StatusTooManyRequests, client.CodeOverloaded, nil)
		case Forgotten:
			problem(w, http.StatusNotFound, client.CodeWalletNotFound, nil)
		case DropBefore:
			panic(http.ErrAbortHandler)
		case DropAfter:
			handle(discard{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		default:
			handle(w, r)
		}
	}
}

// discard is the answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	id := wallet.NewWalletID(r.Header.Get("Idempotency-Key"))
	a, known := s.wallets[id]
	if !known {
		a = &account{Wallet: client.Wallet{WalletID: id, UpdatedAt: time.Now()}, index: map[uuid.UUID]int{}}
		s.wallets[id] = a
	}
	w.Header().Set("Location", "/api/v1/wallets/"+id.String())
	w.Header().Set("Idempotency-Replayed", fmt.Sprint(known))
	answer(w, http.StatusCreated, client.Wallet{WalletID: id, UpdatedAt: a.UpdatedAt})
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	var request client.OperationRequest
	if json.NewDecoder(r.Body).Decode(&request) != nil || request.Amount < 1 {
		problem(w, http.StatusBadRequest, client.CodeInvalidRequest, nil)
		return
	}
	a := s.wallets[request.WalletID]
	if a == nil {
		problem(w, http.StatusNotFound, client.CodeWalletNotFound, nil)
		return
	}
	id, known := a.accept(r.Header.Get("Idempotency-Key"), request.OperationType, request.Amount)
	w.Header().Set("Idempotency-Replayed", fmt.Sprint(known))
	if s.HoldReads == 0 {
		a.settle()
	}
	s.outcome(w, request, *a.find(id))
}

// accept queues an operation unless it is known.
func (a *account) accept(key string, kind client.OperationType, amount int64) (id uuid.UUID, known bool) {
	id = wallet.OperationID(a.WalletID, key)
	if _, known = a.index[id]; !known {
		a.index[id] = len(a.applied) + len(a.queue)
		now := time.Now()
		a.queue = append(a.queue, client.Operation{OperationID: id, WalletID: a.WalletID,
			OperationType: kind, Amount: amount, Status: client.Pending, AcceptedAt: &now})
	}
	return id, known
}

// bulk answers as the service does a request in which no key was used for anything else.
func (s *Server) bulk(w http.ResponseWriter, r *http.Request) {
	var request client.BulkRequest
	id, _ := uuid.Parse(r.PathValue("id"))
	a := s.wallets[id]
	if json.NewDecoder(r.Body).Decode(&request) != nil || a == nil {
		problem(w, http.StatusBadRequest, client.CodeInvalidRequest, nil)
		return
	}
	ids := make([]uuid.UUID, len(request))
	outcomes, status := make([]client.BulkOutcome, len(request)), http.StatusOK
	for i, op := range request {
		ids[i], outcomes[i].Replayed = a.accept(op.IdempotencyKey, op.OperationType, op.Amount)
	}
	if s.HoldReads == 0 {
		a.settle()
	}
	for i := range outcomes {
		o, op := &outcomes[i], *a.find(ids[i])
		if s.DistortOutcome != nil {
			s.DistortOutcome(&op)
		}
		o.Operation, o.Balance, o.Sequence = op, op.BalanceAfter, op.Sequence
		if op.Reason != nil {
			o.Code = client.ProblemCode(*op.Reason)
		}
		if op.Status == client.Pending {
			o.Location, status = fmt.Sprintf("/api/v1/wallets/%s/operations/%s?journal=0-1", id, op.OperationID), http.StatusAccepted
		}
	}
	answer(w, status, client.BulkOutcomes{Outcomes: outcomes})
}

func (s *Server) outcome(w http.ResponseWriter, request client.OperationRequest, op client.Operation) {
	if op.Amount != request.Amount || op.OperationType != request.OperationType {
		problem(w, http.StatusUnprocessableEntity, client.CodeIdempotencyKeyReused, nil)
		return
	}
	if s.DistortOutcome != nil {
		s.DistortOutcome(&op)
	}
	w.Header().Set("Location", fmt.Sprintf("/api/v1/wallets/%s/operations/%s?journal=0-1", op.WalletID, op.OperationID))
	switch op.Status {
	case client.Pending:
		answer(w, http.StatusAccepted, client.Outcome{Operation: op})
	case client.Applied:
		answer(w, http.StatusOK, client.Outcome{Operation: op, Balance: op.BalanceAfter, Sequence: op.Sequence})
	case client.Failed:
		problem(w, http.StatusUnprocessableEntity, client.ProblemCode(*op.Reason), &op)
	}
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func problem(w http.ResponseWriter, status int, code client.ProblemCode, op *client.Operation) {
	p := client.Problem{Status: status, Code: code, Detail: "said by the fake", Operation: op,
		Retryable: status == http.StatusTooManyRequests || status >= 500, Outcome: client.NotApplied}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}
