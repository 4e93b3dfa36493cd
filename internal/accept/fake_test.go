package accept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

var errGone = errors.New("connection refused")

// fakeJournal numbers what it is given, all in partition 4.
type fakeJournal struct {
	mu      sync.Mutex
	written []wallet.Operation
	writes  int
	creates []uuid.UUID
	apply   func(id uuid.UUID, at time.Time) // told of acknowledged creations
	err     error                            // of the next writes
	held    chan struct{}                    // if not nil: writes wait until it is closed
	end     int64
	endErr  error
	record  wallet.Record
	findErr error
}

func (j *fakeJournal) Write(done func(wallet.Receipt, error), ops ...wallet.Operation) {
	if ops[0].IsCreation() {
		j.create(done, ops[0].ID, ops[0].AcceptedAt)
		return
	}
	j.mu.Lock()
	j.written = append(j.written, ops...)
	j.writes++
	receipt, err, held := wallet.Receipt{Partition: 4, Offset: int64(len(j.written) - 1)}, j.err, j.held
	j.mu.Unlock()
	if err != nil {
		receipt = wallet.NoReceipt
	}
	if held == nil {
		done(receipt, err)
		return
	}
	go func() { <-held; done(receipt, err) }()
}

func (j *fakeJournal) create(done func(wallet.Receipt, error), id uuid.UUID, at time.Time) {
	j.mu.Lock()
	j.creates = append(j.creates, id)
	receipt, err := wallet.Receipt{Partition: 4, Offset: int64(len(j.creates))}, j.err
	j.mu.Unlock()
	if err != nil {
		done(wallet.NoReceipt, err)
		return
	}
	done(receipt, nil)
	go j.apply(id, at)
}

func (j *fakeJournal) Reaches(_ context.Context, r wallet.Receipt) (bool, error) {
	return r.Offset < j.end, j.endErr
}

// MayHave has all wallets in all partitions but one.
func (j *fakeJournal) MayHave(partition int32, _ uuid.UUID) bool { return partition != anothers }

const anothers = 77

func (j *fakeJournal) RecordAt(context.Context, wallet.Receipt) (wallet.Record, error) {
	return j.record, j.findErr
}

// journaled returns what was given to the journal so far.
func (j *fakeJournal) journaled() []wallet.Operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.written)
}

// fakeLedger has wallets and operations; while err is set it answers nothing.
type fakeLedger struct {
	mu         sync.Mutex
	wallets    map[uuid.UUID]wallet.Wallet
	operations map[wallet.Key]wallet.Operation
	next       int64 // its offset
	full       []uuid.UUID
	unlisted   error // what reading the lists' lengths comes to
	callErr    error // of calls, while it does not count as down
	unreadable map[wallet.Key]bool
	err        error
	down       chan struct{}

	reads    int            // of wallets
	outcomes [][]wallet.Key // asked for
	progress int            // reads of offsets
}

func (l *fakeLedger) failure() error { return errors.Join(l.callErr, l.err) }

func (l *fakeLedger) Create(_ context.Context, id uuid.UUID, at time.Time) (wallet.Wallet, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.failure(); err != nil {
		return wallet.Wallet{}, false, err
	}
	if w, ok := l.wallets[id]; ok {
		return w, false, nil
	}
	l.wallets[id] = wallet.Wallet{ID: id, UpdatedAt: at}
	return l.wallets[id], true, nil
}

func (l *fakeLedger) Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	w, ok := l.wallets[id]
	if err := cmp.Or(l.failure(), ctx.Err()); err != nil {
		return w, err
	}
	if !ok {
		return w, &wallet.Error{Code: wallet.CodeWalletNotFound}
	}
	return w, nil
}

func (l *fakeLedger) Operation(_ context.Context, key wallet.Key, _ int32) (*wallet.Operation, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if op, ok := l.operations[key]; ok {
		return &op, l.next, l.failure()
	}
	return nil, l.next, l.failure()
}

// Operations has a wallet's numbered operations, newest first.
func (l *fakeLedger) Operations(_ context.Context, walletID uuid.UUID, _ wallet.Query) (page wallet.Page, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, op := range l.operations {
		if key.WalletID == walletID {
			page.Operations = append(page.Operations, op)
		}
	}
	slices.SortFunc(page.Operations, func(a, b wallet.Operation) int { return cmp.Compare(b.Sequence, a.Sequence) })
	return page, l.failure()
}

func (l *fakeLedger) Outcomes(ctx context.Context, keys []wallet.Key) (found []wallet.Operation, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes = append(l.outcomes, keys)
	if slices.ContainsFunc(keys, func(k wallet.Key) bool { return l.unreadable[k] }) {
		return nil, fmt.Errorf("%w: invalid page in block 0 of relation base/5/16384 (SQLSTATE XX001)", wallet.ErrRefused)
	}
	for _, key := range keys {
		if op, ok := l.operations[key]; ok {
			found = append(found, op)
		}
	}
	return found, cmp.Or(l.failure(), ctx.Err())
}

func (l *fakeLedger) Offsets(context.Context) (map[int32]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress++
	return map[int32]int64{4: l.next}, l.failure()
}

func (l *fakeLedger) FullLists(context.Context, int) ([]uuid.UUID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full, cmp.Or(l.unlisted, l.failure())
}

func (l *fakeLedger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *fakeLedger) Down() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// fall makes the ledger count as down.
func (l *fakeLedger) fall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errGone
	close(l.down)
}

// keep puts an operation into the ledger, applied.
func (l *fakeLedger) keep(op wallet.Operation) wallet.Operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	op.Status, op.Sequence, op.BalanceAfter = wallet.Applied, 1, op.Amount
	l.operations[op.Key()] = op
	return op
}

// polled returns how many operations each shared read asked for.
func (l *fakeLedger) polled() (counts []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, keys := range l.outcomes {
		counts = append(counts, len(keys))
	}
	return counts
}

// fakeBalances is the cache: what it knows, and what was put into it.
type fakeBalances struct {
	mu    sync.Mutex
	known map[uuid.UUID]bool
	puts  []wallet.Wallet
	alive []bool // whether the put's caller was still there
	deaf  bool
	err   error // of puts
}

func (b *fakeBalances) Known(ctx context.Context, id uuid.UUID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[id] && ctx.Err() == nil
}

func (b *fakeBalances) Put(ctx context.Context, wallets ...wallet.Wallet) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts, b.alive = append(b.puts, wallets...), append(b.alive, ctx.Err() == nil)
	return b.err
}

func (b *fakeBalances) PutMaybeStale(ctx context.Context, wallets ...wallet.Wallet) error {
	for _, w := range wallets {
		if w.Sequence > 0 {
			_ = b.Put(ctx, w)
			continue
		}
		b.mu.Lock() // a creation, of which only the existence is noted
		b.known[w.ID] = true
		b.mu.Unlock()
	}
	return b.err
}

func (b *fakeBalances) PutMade(ctx context.Context, wallets ...wallet.Wallet) error {
	return b.Put(ctx, wallets...)
}

// Cached returns the newest balance that was put.
func (b *fakeBalances) Cached(_ context.Context, id uuid.UUID) (w wallet.Wallet, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.puts {
		if p.ID == id && (!ok || p.Sequence > w.Sequence) {
			w, ok = p, true
		}
	}
	return w, ok
}

func (b *fakeBalances) Listening() bool { return !b.deaf }

// fakeApplier knows wallets and answers the direct way with what the test sets.
type fakeApplier struct {
	accepted   map[wallet.Key]wallet.Operation // here, without an outcome
	mu         sync.Mutex
	known      map[uuid.UUID]bool
	owns       bool
	met        map[uuid.UUID]wallet.Wallet
	direct     func(context.Context, wallet.Operation) (wallet.Operation, error)
	directed   []wallet.Operation
	calls      int
	reconciled []map[int32]int64
	look       int // what one Reconcile settles at most of the unsettled
	unsettled  []wallet.Operation
	settled    int64
}

func (a *fakeApplier) KnowsWallet(id uuid.UUID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[id]
}

func (a *fakeApplier) NoteExists(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[id] = true
}

// NoteState keeps what the ledger has said.
func (a *fakeApplier) NoteState(w wallet.Wallet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[w.ID], a.met[w.ID] = true, w
}

func (a *fakeApplier) Owns(int32) bool { return a.owns }

func (a *fakeApplier) AppliesWallet(uuid.UUID) bool { return a.owns }

func (a *fakeApplier) Direct(ctx context.Context, ops ...wallet.Operation) ([]wallet.Operation, error) {
	a.mu.Lock()
	a.directed = append(a.directed, ops...)
	a.calls++
	a.mu.Unlock()
	done := make([]wallet.Operation, len(ops))
	var err error
	for i := range ops {
		if done[i], err = a.direct(ctx, ops[i]); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func (a *fakeApplier) Accepted(key wallet.Key) (wallet.Operation, bool) {
	op, ok := a.accepted[key]
	return op, ok
}

func (a *fakeApplier) Reconcile(_ context.Context, offsets map[int32]int64) (settled int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reconciled = append(a.reconciled, maps.Clone(offsets))
	n := min(a.look, len(a.unsettled))
	a.unsettled = a.unsettled[n:]
	a.settled += int64(n)
	return n, nil
}

// looks returns how often it was asked to reconcile.
func (a *fakeApplier) looks() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.reconciled)
}

// Unsettled counts what the test says is unsettled.
func (a *fakeApplier) Unsettled(id uuid.UUID, since time.Time) (n int, settled int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range a.unsettled {
		if op.WalletID == id && !op.AcceptedAt.Before(since) {
			n++
		}
	}
	return n, a.settled
}

func (a *fakeApplier) UnsettledInAll() (int, int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.unsettled), a.settled
}

// world is an intake with everything around it.
type world struct {
	*Intake
	journal  *fakeJournal
	ledger   *fakeLedger
	balances *fakeBalances
	applier  *fakeApplier
}

func newWorld(limits Limits) *world {
	w := &world{
		journal:  &fakeJournal{},
		ledger:   &fakeLedger{wallets: map[uuid.UUID]wallet.Wallet{}, operations: map[wallet.Key]wallet.Operation{}, down: make(chan struct{})},
		balances: &fakeBalances{known: map[uuid.UUID]bool{}},
		applier:  &fakeApplier{known: map[uuid.UUID]bool{}, met: map[uuid.UUID]wallet.Wallet{}},
	}
	if limits.Waits == 0 { // a test that is not about these
		limits.Waits, limits.WalletWaits = limits.Operations, limits.WalletOperations
	}
	w.Intake = New(Config{
		Journal: w.journal, Ledger: w.ledger, Balances: w.balances, Applier: w.applier, Limits: limits,
		BalanceTTL: 10 * time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	w.journal.apply = func(id uuid.UUID, at time.Time) {
		if _, created, err := w.ledger.Create(context.Background(), id, at); err == nil && created {
			w.Complete([]wallet.Operation{{ID: id, WalletID: id, AcceptedAt: at, AppliedAt: at, Status: wallet.Applied, Receipt: wallet.NoReceipt}})
		}
	}
	return w
}

var wide = Limits{WalletOperations: 10_000, Operations: 50_000, DirectTimeout: 15 * time.Second, ListLength: 100}

// inWorld runs a test on a clock that moves only while everybody waits.
func inWorld(t *testing.T, limits Limits, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(limits)) })
}

// deposit is a request for an operation of a wallet that the world then knows.
func (w *world) deposit(amount wallet.Amount) wallet.Operation {
	id := uuid.New()
	w.applier.NoteExists(id)
	return wallet.Operation{ID: uuid.New(), WalletID: id, Type: wallet.Deposit, Amount: amount}
}

// answer is what a request was answered.
type answer struct {
	wallet.Outcome
	err   error
	after time.Duration
}

// submit sends a request and returns where its answer will come.
func (w *world) submit(ctx context.Context, op wallet.Operation, wait time.Duration) <-chan answer {
	answered, began := make(chan answer, 1), time.Now()
	go func() {
		out, err := w.Submit(ctx, op, wait)
		answered <- answer{out, err, time.Since(began)}
	}()
	synctest.Wait()
	return answered
}

// problem returns err as the domain's error, with its code; any other is fatal.
func problem(t *testing.T, err error, code wallet.Code) *wallet.Error {
	t.Helper()
	var e *wallet.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return e
}
