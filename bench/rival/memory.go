package rival

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/walletd/walletd/internal/httpapi"
	"github.com/walletd/walletd/internal/wallet"
)

// memoryBatch is how long a batch of memory takes: about what a wave of the journal and
// a commit take together.
const memoryBatch = 3 * time.Millisecond

// memory is walletd's own API around wallets that are kept in memory: requests are
// decided together in batches and answered together, as walletd's are, but nothing is
// journaled, committed or cached. That is the most that walletd could answer.
type memory struct {
	httpapi.History // nil: never asked
	httpapi.Health

	mu      sync.Mutex
	wallets map[uuid.UUID]wallet.State
	next    []*request // of the batch after the one under way
	running bool
}

type request struct {
	op   wallet.Operation
	done chan struct{}
}

func newMemory() (http.Handler, error) {
	m := &memory{wallets: map[uuid.UUID]wallet.State{}}
	return httpapi.New(httpapi.Config{MaxBodyBytes: maxBodyBytes, MaxBulkBytes: maxBulkBytes, Intake: m, Balances: m, History: m, Health: m,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), DefaultWait: wallet.MaxWait})
}

// Create is httpapi's.
func (m *memory) Create(context.Context, string, time.Duration) (wallet.Created, error) {
	id := uuid.New()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wallets[id] = wallet.State{}
	return wallet.Created{Wallet: wallet.Wallet{ID: id, UpdatedAt: time.Now()}}, nil
}

// Submit is httpapi's. It waits for the batch under way, and for its own.
func (m *memory) Submit(ctx context.Context, op wallet.Operation, _ time.Duration) (wallet.Outcome, error) {
	op.AcceptedAt = time.Now()
	r := &request{op: op, done: make(chan struct{})}
	m.mu.Lock()
	m.next = append(m.next, r)
	if !m.running {
		m.running = true
		time.AfterFunc(memoryBatch, m.batch)
	}
	m.mu.Unlock()
	select {
	case <-r.done:
		return wallet.Outcome{Operation: r.op}, nil
	case <-ctx.Done():
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeUnavailable, Fate: wallet.Unknown, Err: ctx.Err()}
	}
}

// batch decides what has come, and begins the next if there is any.
func (m *memory) batch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, r := range m.next {
		m.wallets[r.op.WalletID], r.op = wallet.Apply(m.wallets[r.op.WalletID], r.op, now)
		close(r.done)
	}
	if m.running = len(m.next) > 0; m.running {
		time.AfterFunc(memoryBatch, m.batch)
	}
	m.next = nil
}

// SubmitAll is httpapi's.
func (m *memory) SubmitAll(context.Context, []wallet.Operation, time.Duration) ([]wallet.Outcome, error) {
	return nil, errors.New("no bulks")
}

// Wallet is httpapi's.
func (m *memory) Wallet(_ context.Context, id uuid.UUID, _ int64) (wallet.Wallet, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return wallet.Wallet{ID: id, State: m.wallets[id]}, nil
}

// Fresh is Wallet: there is no cache.
func (m *memory) Fresh(ctx context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error) {
	return m.Wallet(ctx, id, minSequence)
}
