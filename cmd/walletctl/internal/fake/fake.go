// Package fake is a walletd in memory for walletctl's tests. It keeps the
// promises that walletctl relies on (idempotency, order, sequences, receipts, cursors)
// unless a test tells it to break one. Nothing but tests imports it.
package fake

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/client"
	"github.com/walletd/walletd/internal/wallet"
)

// Fault is what happens to a write instead of its answer.
type Fault int

// The faults.
const (
	None        Fault = iota
	Unavailable       // 503, nothing accepted
	Overloaded        // 429, nothing accepted
	DropBefore        // the connection breaks, nothing accepted
	DropAfter         // the connection breaks, accepted
	Forgotten         // 404, as if the wallet were not there
)

// Server is the fake. Set its fields before the first request.
type Server struct {
	*httptest.Server
	// Fault, if set, chooses the fate of the n-th write, from 1.
	Fault func(n int) Fault
	// Distort, if set, changes the operations of a wallet, oldest first, before
	// they are listed.
	Distort func(ops []client.Operation) []client.Operation
	// DistortWallet, if set, changes a wallet before it is shown.
	DistortWallet func(*client.Wallet)
	// DistortOutcome, if set, changes an operation before its request is answered.
	DistortOutcome func(*client.Operation)
	// HoldReads, if above 0, leaves every operation PENDING for as many reads.
	HoldReads int

	mu      sync.Mutex
	writes  int
	reads   int
	wallets map[uuid.UUID]*account
}

// account is a wallet with everything that was asked of it.
type account struct {
	client.Wallet
	applied []client.Operation // in sequence
	queue   []client.Operation // accepted, PENDING
	index   map[uuid.UUID]int  // in applied, with queue behind it
}

// New starts a fake that Close ends.
func New() *Server {
	s := &Server{wallets: map[uuid.UUID]*account{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/wallet/create", s.write(s.create))
	mux.HandleFunc("POST /api/v1/wallet", s.write(s.submit))
	mux.HandleFunc("POST /api/v1/wallets/{id}/operations", s.write(s.bulk))
	mux.HandleFunc("GET /api/v1/wallets/{id}", s.read(s.wallet))
	mux.HandleFunc("GET /api/v1/wallets/{id}/operations", s.read(s.list))
	mux.HandleFunc("GET /api/v1/wallets/{id}/operations/{operation}", s.read(s.operation))
	s.Server = httptest.NewServer(mux)
	return s
}

// Applied returns how many operations have an outcome, over all wallets.
func (s *Server) Applied() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.wallets {
		n += len(a.applied)
	}
	return n
}

// Recover ends the faults of writes: the service is back, with all it had.
func (s *Server) Recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fault = nil
}

// settle gives the queued operations their outcomes, in order.
func (a *account) settle() {
	for _, op := range a.queue {
		status, reason, balance := client.Applied, client.Reason(""), a.Balance
		switch {
		case op.OperationType == client.Deposit && op.Amount <= int64(wallet.MaxAmount)-balance:
			balance += op.Amount
		case op.OperationType == client.Deposit:
			status, reason = client.Failed, client.ReasonBalanceOverflow
		case op.Amount <= balance:
			balance -= op.Amount
		default:
			status, reason = client.Failed, client.ReasonInsufficientFunds
		}
		a.finish(op, status, reason, balance)
	}
	a.queue = nil
}

func (a *account) finish(op client.Operation, status client.OperationStatus, reason client.Reason, balance int64) {
	now, origin := time.Now(), client.OriginJournal
	a.Balance, a.Sequence, a.UpdatedAt = balance, a.Sequence+1, now
	sequence := a.Sequence
	op.Status, op.BalanceAfter, op.Sequence = status, &balance, &sequence
	op.AppliedAt, op.Origin = &now, &origin
	if reason != "" {
		op.Reason = &reason
	}
	a.applied = append(a.applied, op)
}

// find returns an operation as it is now, or nil.
func (a *account) find(id uuid.UUID) *client.Operation {
	i, known := a.index[id]
	switch {
	case !known:
		return nil
	case i < len(a.applied):
		return &a.applied[i]
	}
	return &a.queue[i-len(a.applied)]
}
