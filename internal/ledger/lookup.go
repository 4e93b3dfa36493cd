package ledger

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/walletd/walletd/internal/wallet"
)

// lookupsUnderWay bounds the statements that look wallets up; whoever comes
// meanwhile shares the next. A second one would halve what they share.
const lookupsUnderWay = 1

// lookupWallets bounds the wallets of one statement; the rest is for the next.
const lookupWallets = 500

// Each wallet is looked up by its key, whatever the statistics say of the table.
const lookUpWallets = `
SELECT w.* FROM unnest($1::uuid[]) AS asked (id),
	LATERAL (SELECT id, balance, version, updated_at FROM wallets WHERE wallets.id = asked.id OFFSET 0) AS w`

// lookups are the wallets that are asked for one by one, by many requests at once.
type lookups struct {
	mu       sync.Mutex
	inFlight int // statements
	waiting  []*lookup
}

// lookup is one request for a wallet.
type lookup struct {
	id   uuid.UUID
	told chan found
}

type found struct {
	wallet wallet.Wallet
	err    error
}

// enter queues a request and reports whether somebody has to be found to serve it.
func (ls *lookups) enter(one *lookup) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.waiting = append(ls.waiting, one)
	if ls.inFlight == lookupsUnderWay {
		return false
	}
	ls.inFlight++
	return true
}

// take returns what to look up next; nothing ends a serving.
func (ls *lookups) take() []*lookup {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	n := min(len(ls.waiting), lookupWallets)
	if n == 0 {
		ls.inFlight--
		return nil
	}
	batch := ls.waiting[:n:n]
	ls.waiting = ls.waiting[n:]
	return batch
}

// Wallet returns a wallet as the ledger has it; a *wallet.Error with
// CodeWalletNotFound if there is none. What it returns was read after it was called.
// Requests that come while others are being answered share a statement: each alone
// would cost as much as all of them.
func (l *Ledger) Wallet(ctx context.Context, id uuid.UUID) (wallet.Wallet, error) {
	one := &lookup{id: id, told: make(chan found, 1)}
	if l.lookups.enter(one) {
		go l.serveLookups() // no longer than there is something to look up
	}
	select {
	case f := <-one.told:
		return f.wallet, f.err
	case <-ctx.Done():
		return wallet.Wallet{ID: id}, fmt.Errorf("%w: %w", wallet.ErrUnavailable, ctx.Err())
	}
}

// serveLookups looks up what waits until nothing does. Requests come in bursts, when a
// commit has answered those before: who comes first lets the others run.
func (l *Ledger) serveLookups() {
	runtime.Gosched()
	for batch := l.lookups.take(); batch != nil; batch = l.lookups.take() {
		wallets, err := l.lookUp(batch)
		for _, one := range batch {
			w, ok := wallets[one.id]
			if w.ID = one.id; !ok && err == nil {
				one.told <- found{w, &wallet.Error{Code: wallet.CodeWalletNotFound, Detail: "there is no wallet " + one.id.String()}}
				continue
			}
			one.told <- found{w, err}
		}
	}
}

// lookUp reads the wallets in one statement; one that does not exist is left out.
func (l *Ledger) lookUp(batch []*lookup) (map[uuid.UUID]wallet.Wallet, error) {
	ctx, cancel, err := l.reading(context.Background())
	if err != nil {
		return nil, err
	}
	defer cancel()
	ids := newArray(pgtype.UUIDOID, len(batch), 16)
	for _, one := range batch {
		ids.addID(one.id)
	}
	rows, err := l.reads.Query(ctx, lookUpWallets, ids)
	if err != nil {
		return nil, l.done(err)
	}
	all := make(map[uuid.UUID]wallet.Wallet, len(batch))
	var w wallet.Wallet
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&w.ID, &w.Balance, &w.Sequence, &at}, func() error {
		w.UpdatedAt = at.UTC()
		all[w.ID] = w
		return nil
	})
	return all, l.done(err)
}
