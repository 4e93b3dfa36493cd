package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	// jointMost is how long a batch waits for the transaction under way before it
	// goes beside it: one that waits for somebody's lock, or for its server.
	jointMost = 50 * time.Millisecond
	// jointOperations bounds what joins one transaction; the rest is for the next.
	jointOperations = 2_000
)

// errAlone tells a batch to try by itself: what it was joined with was refused, so
// that nothing happened.
var errAlone = errors.New("the joint transaction was refused")

// joint makes one transaction of the batches that come while one is under way:
// group commit over partitions. A transaction costs the database and this process
// much the same whether it holds ten operations or a hundred, and many partitions
// with a little traffic each would pay that for each of them.
type joint struct {
	mu      sync.Mutex
	most    atomic.Int64 // time.Duration, of waiting
	under   int          // transactions under way
	waiting []*part
}

// part is a batch that wants to be committed.
type part struct {
	batch *wallet.Batch
	lead  chan []*part // gets what to commit, this part first
	told  chan error   // or gets what another part's transaction came to
}

// enter returns what the part has to commit now; nothing if it has to wait. One
// answer of the broker is of many partitions, whose workers have batches at about
// the same time: who comes first lets those run that can, for they will join.
func (j *joint) enter(p *part) []*part {
	if !j.leads(p) {
		return nil
	}
	runtime.Gosched()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = slices.Insert(j.waiting, 0, p)
	return j.take()
}

// leads reports whether the part begins a transaction; if not, it waits in line.
func (j *joint) leads(p *part) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.under > 0 {
		j.waiting = append(j.waiting, p)
		return false
	}
	j.under++
	return true
}

// overtake is enter for a part that has waited long enough; it returns nothing if
// the part is being committed by now.
func (j *joint) overtake(p *part) []*part {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.Index(j.waiting, p)
	if i < 0 {
		return nil
	}
	j.waiting = slices.Insert(slices.Delete(j.waiting, i, i+1), 0, p)
	j.under++
	return j.take()
}

// take returns those that are first in line, at least one, for a transaction that is
// counted by now.
func (j *joint) take() []*part {
	n, weight := 0, 0
	for n < len(j.waiting) && (n == 0 || weight+len(j.waiting[n].batch.Operations) <= jointOperations) {
		weight += len(j.waiting[n].batch.Operations)
		n++
	}
	parts := slices.Clone(j.waiting[:n])
	j.waiting = slices.Delete(j.waiting, 0, n)
	return parts
}

// leave ends a transaction and has the next one begin, unless one is under way.
func (j *joint) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.under--; j.under == 0 && len(j.waiting) > 0 {
		j.under++
		parts := j.take()
		parts[0].lead <- parts
	}
}

// commitJointly commits a batch of the journal in one transaction with those of
// other partitions that wait at that moment. What a batch relies on is in its own
// conditions; when the transaction is refused each of its batches is tried alone,
// so that one partition's conflict is not another's.
func (l *Ledger) commitJointly(ctx context.Context, b *wallet.Batch) error {
	p := &part{batch: b, lead: make(chan []*part, 1), told: make(chan error, 1)}
	parts, err := l.joint.enter(p), error(nil)
	if parts == nil {
		parts, err = l.joint.wait(p)
	}
	if len(parts) > 0 {
		err = l.commitParts(ctx, parts)
	}
	if errors.Is(err, errAlone) {
		return l.commit(ctx, []*wallet.Fence{b.Fence}, b)
	}
	return err
}

// wait returns what the part has to commit, or what its transaction came to.
func (j *joint) wait(p *part) ([]*part, error) {
	timer := time.NewTimer(time.Duration(j.most.Load()))
	defer timer.Stop()
	for {
		select {
		case parts := <-p.lead:
			return parts, nil
		case err := <-p.told:
			return nil, err
		case <-timer.C:
			if parts := j.overtake(p); parts != nil {
				return parts, nil
			}
		}
	}
}

// commitParts commits the batches, of which the first is the caller's, and tells the
// others.
func (l *Ledger) commitParts(ctx context.Context, parts []*part) error {
	fences, b := merge(parts)
	err := l.commit(ctx, fences, b)
	l.joint.leave()
	if len(parts) > 1 && err != nil && !errors.Is(err, wallet.ErrUnavailable) {
		err = errAlone
	}
	for _, p := range parts[1:] {
		p.told <- err
	}
	return err
}

// merge makes one batch of the parts, fences and wallets in the order in which every
// transaction locks them.
func merge(parts []*part) ([]*wallet.Fence, *wallet.Batch) {
	if len(parts) == 1 {
		return []*wallet.Fence{parts[0].batch.Fence}, parts[0].batch
	}
	fences, all := make([]*wallet.Fence, 0, len(parts)), &wallet.Batch{}
	for _, p := range parts {
		fences = append(fences, p.batch.Fence)
		all.Creates = append(all.Creates, p.batch.Creates...)
		all.Changes = append(all.Changes, p.batch.Changes...)
		all.Operations = append(all.Operations, p.batch.Operations...)
	}
	slices.SortFunc(fences, func(x, y *wallet.Fence) int { return cmp.Compare(x.Partition, y.Partition) })
	slices.SortFunc(all.Changes, func(x, y wallet.Change) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	return fences, all
}
