package httpapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// at is when everything in these tests happens.
var at = time.Date(2026, 5, 4, 10, 11, 12, 345678000, time.UTC)

// fake is all that stands behind the HTTP surface: wallets in memory, decided by
// wallet.Apply. A test replaces one of its functions to see another answer.
type fake struct {
	mu         sync.Mutex
	wallets    map[uuid.UUID]wallet.State
	operations map[uuid.UUID]wallet.Operation

	submitted []wallet.Operation // what reached Submit
	waits     []time.Duration
	keys      []string
	read      []reading
	queries   []wallet.Query
	receipts  []wallet.Receipt

	submit     func(wallet.Operation) (wallet.Outcome, error)
	create     func() (wallet.Created, error)
	wallet     func() (wallet.Wallet, error)
	page       func() (wallet.Page, error)
	operation  func() (wallet.Operation, error)
	components []Component
	unready    bool
}

// reading is what a read of a wallet asked for.
type reading struct {
	fresh       bool
	minSequence int64
}

func newFake() *fake {
	return &fake{wallets: map[uuid.UUID]wallet.State{}, operations: map[uuid.UUID]wallet.Operation{}}
}

// answerSubmit sets submit while requests may be under way.
func (f *fake) answerSubmit(submit func(wallet.Operation) (wallet.Outcome, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.submit = submit
}

func (f *fake) Create(_ context.Context, key string, _ time.Duration) (wallet.Created, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = append(f.keys, key)
	if f.create != nil {
		return f.create()
	}
	id := wallet.NewWalletID(key)
	_, replayed := f.wallets[id]
	f.wallets[id] = wallet.State{}
	return wallet.Created{Wallet: wallet.Wallet{ID: id, UpdatedAt: at}, Replayed: replayed}, nil
}

func (f *fake) Submit(_ context.Context, op wallet.Operation, wait time.Duration) (wallet.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.submitted, f.waits = append(f.submitted, op), append(f.waits, wait)
	if f.submit != nil {
		return f.submit(op)
	}
	state, known := f.wallets[op.WalletID]
	if !known {
		return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeWalletNotFound}
	}
	if first, seen := f.operations[op.ID]; seen {
		if !first.SameRequest(op) {
			return wallet.Outcome{}, &wallet.Error{Code: wallet.CodeIdempotencyKeyReused}
		}
		return wallet.Outcome{Operation: first, Replayed: true}, nil
	}
	op.AcceptedAt, op.Receipt = at, wallet.Receipt{Partition: 7, Offset: int64(len(f.operations))}
	f.wallets[op.WalletID], op = wallet.Apply(state, op, at)
	f.operations[op.ID] = op
	return wallet.Outcome{Operation: op}, nil
}

// SubmitAll answers what Submit would, one after the other.
func (f *fake) SubmitAll(ctx context.Context, ops []wallet.Operation, wait time.Duration) ([]wallet.Outcome, error) {
	outs := make([]wallet.Outcome, len(ops))
	for i, op := range ops {
		out, err := f.Submit(ctx, op, wait)
		var e *wallet.Error
		if errors.As(err, &e) && e.Code == wallet.CodeIdempotencyKeyReused {
			out, err = wallet.Outcome{Operation: f.operations[op.ID], KeyReused: true}, nil
		}
		if err != nil {
			return nil, err
		}
		outs[i] = out
	}
	return outs, nil
}

func (f *fake) Wallet(_ context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error) {
	return f.readWallet(id, false, minSequence)
}

func (f *fake) Fresh(_ context.Context, id uuid.UUID, minSequence int64) (wallet.Wallet, error) {
	return f.readWallet(id, true, minSequence)
}

func (f *fake) readWallet(id uuid.UUID, fresh bool, minSequence int64) (wallet.Wallet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = append(f.read, reading{fresh, minSequence})
	if f.wallet != nil {
		return f.wallet()
	}
	state, known := f.wallets[id]
	switch {
	case !known:
		return wallet.Wallet{}, &wallet.Error{Code: wallet.CodeWalletNotFound}
	case state.Sequence < minSequence:
		return wallet.Wallet{}, &wallet.Error{Code: wallet.CodeNotYetVisible, RetryAfter: 1500 * time.Millisecond}
	}
	return wallet.Wallet{ID: id, State: state, UpdatedAt: at}, nil
}

func (f *fake) Operations(_ context.Context, _ uuid.UUID, q wallet.Query) (wallet.Page, error) {
	f.queries = append(f.queries, q)
	if f.page != nil {
		return f.page()
	}
	return wallet.Page{}, nil
}

func (f *fake) Operation(_ context.Context, _, id uuid.UUID, r wallet.Receipt) (wallet.Operation, error) {
	f.receipts = append(f.receipts, r)
	if f.operation != nil {
		return f.operation()
	}
	op, known := f.operations[id]
	if !known {
		return op, &wallet.Error{Code: wallet.CodeOperationNotFound}
	}
	return op, nil
}

func (f *fake) Components() []Component { return f.components }

func (f *fake) Ready() bool { return !f.unready }
