package fake

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
)

// read finds the wallet and runs a handler under the mutex. When held operations
// have been read often enough, they get their outcomes.
func (s *Server) read(handle func(http.ResponseWriter, *http.Request, *account)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		id, _ := uuid.Parse(r.PathValue("id"))
		a := s.wallets[id]
		if a == nil {
			problem(w, http.StatusNotFound, client.CodeWalletNotFound, nil)
			return
		}
		if s.reads++; s.reads > s.HoldReads {
			s.reads = 0
			for _, a := range s.wallets {
				a.settle()
			}
		}
		handle(w, r, a)
	}
}

func (s *Server) wallet(w http.ResponseWriter, r *http.Request, a *account) {
	if least, _ := strconv.ParseInt(r.URL.Query().Get("minSequence"), 10, 64); a.Sequence < least {
		problem(w, http.StatusConflict, client.CodeNotYetVisible, nil)
		return
	}
	shown := a.Wallet
	if s.DistortWallet != nil {
		s.DistortWallet(&shown)
	}
	answer(w, http.StatusOK, shown)
}

// list answers with a part of the history; the cursor is how many were shown.
func (s *Server) list(w http.ResponseWriter, r *http.Request, a *account) {
	q := r.URL.Query()
	ops := append([]client.Operation{}, a.applied...) // a list without any is [], not null
	if s.Distort != nil {
		ops = s.Distort(ops)
	}
	slices.Reverse(ops)
	to, err := time.Parse(time.RFC3339, q.Get("to"))
	if q.Has("cursor") && q.Get("cursor") == "" || q.Has("to") && err != nil {
		problem(w, http.StatusBadRequest, client.CodeInvalidRequest, nil)
		return
	}
	ops = slices.DeleteFunc(ops, func(op client.Operation) bool {
		return q.Has("to") && op.AppliedAt != nil && !op.AppliedAt.Before(to) || differs(q.Get("status"), string(op.Status)) || differs(q.Get("operationType"), string(op.OperationType))
	})
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil {
		limit = 50
	}
	shown, _ := strconv.Atoi(q.Get("cursor"))
	ops = ops[min(shown, len(ops)):]
	list := client.OperationList{Operations: ops[:min(limit, len(ops))]}
	if len(ops) > limit {
		list.NextCursor = strconv.Itoa(shown + limit)
	}
	answer(w, http.StatusOK, list)
}

func differs(wanted, value string) bool { return wanted != "" && wanted != value }

func (s *Server) operation(w http.ResponseWriter, r *http.Request, a *account) {
	id, _ := uuid.Parse(r.PathValue("operation"))
	op := a.find(id)
	if op == nil {
		problem(w, http.StatusNotFound, client.CodeOperationNotFound, nil)
		return
	}
	answer(w, http.StatusOK, *op)
}
