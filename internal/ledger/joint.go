package ledger

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walletd/walletd/internal/wallet"
)

const (
	// maxJointWait is how long a batch waits for the transaction under way before it
	// goes beside it: one that waits for somebody's lock, or for its server.
	maxJointWait = 50 * time.Millisecond
	// maxExpectedWait is how long a transaction that could begin waits for batches that are
	// on their way: they are being computed, which takes microseconds, or a read for wallets
	// that are new to this replica.
	maxExpectedWait = 2 * time.Millisecond
	// aloneOperations is how many make a batch go alone: it gains nothing from others,
	// and they would wait for it.
	aloneOperations = 128
	// maxJointOperations bounds what joins one transaction; the rest is for the next.
	maxJointOperations = 2_000
)

// errAlone tells a batch to try by itself: what it was joined with was refused, so
// that nothing happened.
var errAlone = errors.New("the joint transaction was refused")

// joint makes one transaction of the batches that come while one is under way:
// group commit over partitions. A transaction costs the database and this process
// much the same whether it holds ten operations or a hundred, and many partitions
// with a little traffic each would pay that for each of them.
type joint struct {
	overtakeAfter, expectFor atomic.Int64 // time.Duration: maxJointWait and maxExpectedWait, but in tests

	mu       sync.Mutex
	begun    int            // transactions, ever
	inFlight int            // transactions
	expected map[int32]bool // partitions whose batches are on their way
	waiting  []*part
	due      *time.Timer // set while the expected ones are waited for
}

// part is a batch that wants to be committed.
type part struct {
	batch *wallet.Batch
	lead  chan []*part // gets what to commit, this part first
	told  chan error   // or gets what another part's transaction came to
}

// expect has the next transaction wait for the partitions' batches. One answer of the
// broker is of many, whose workers have their batches at about the same time.
func (j *joint) expect(partitions []int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range partitions {
		j.expected[p] = true
	}
}

// enter returns what the part has to commit now; nothing if it has to wait: for the
// transaction under way, or for those that are expected.
func (j *joint) enter(p *part) []*part {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.expected, p.batch.Fence.Partition)
	j.waiting = append(j.waiting, p)
	if !j.mayBegin() {
		return nil
	}
	return j.lead(p)
}

// forgetExpected is for a batch that goes alone, whether it was expected or not.
func (j *joint) forgetExpected(partition int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.expected, partition)
	j.next()
}

// stopExpecting ends the wait for expected batches, unless a transaction has begun since the
// timer was set: before is how many had begun then.
func (j *joint) stopExpecting(before int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.begun != before { // it has begun
		return
	}
	clear(j.expected)
	j.due = nil
	j.next()
}

// next has the first in line begin, if it may.
func (j *joint) next() {
	if len(j.waiting) > 0 && j.mayBegin() {
		first := j.waiting[0]
		first.lead <- j.lead(first)
	}
}

// mayBegin reports whether a transaction may begin now. If one is under way, its end begins
// the next. If batches are expected, the last one's coming does, or the end of the wait for
// them, which begins here.
func (j *joint) mayBegin() bool {
	if j.inFlight > 0 {
		return false
	}
	if len(j.expected) > 0 {
		j.boundWait()
		return false
	}
	return true
}

// boundWait has those that are expected waited for no longer than expectFor.
func (j *joint) boundWait() {
	if j.due == nil {
		before := j.begun
		j.due = time.AfterFunc(time.Duration(j.expectFor.Load()), func() { j.stopExpecting(before) })
	}
}

// lead begins a transaction with the part, which is in line, and others.
func (j *joint) lead(p *part) []*part {
	if j.due != nil {
		j.due.Stop()
		j.due = nil
	}
	i := slices.Index(j.waiting, p)
	j.waiting = slices.Insert(slices.Delete(j.waiting, i, i+1), 0, p)
	j.begun++
	j.inFlight++
	return j.take()
}

// overtake begins a transaction with a part that has waited long enough, beside the one under
// way; it returns nothing if the part is in one by now.
func (j *joint) overtake(p *part) []*part {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Contains(j.waiting, p) {
		return nil
	}
	return j.lead(p)
}

// take returns those that are first in line, at least one, for a transaction that is
// counted by now.
func (j *joint) take() []*part {
	n, weight := 0, 0
	for n < len(j.waiting) && (n == 0 || weight+len(j.waiting[n].batch.Operations) <= maxJointOperations) {
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
	j.inFlight--
	j.next()
}

// Expect says that batches are on their way to Commit: a transaction that could begin
// waits for them, a moment, so that it is one for all. Those that will go alone are not
// waited for.
func (l *Ledger) Expect(batches ...wallet.ExpectedBatch) {
	joining := make([]int32, 0, len(batches))
	for _, b := range batches {
		if b.Operations < aloneOperations {
			joining = append(joining, b.Partition)
		}
	}
	l.joint.expect(joining)
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
	timer := time.NewTimer(time.Duration(j.overtakeAfter.Load()))
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
	if len(parts) > 1 && rolledBack(err) {
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
	slices.SortFunc(all.Changes, func(x, y wallet.Change) int { return wallet.CompareIDs(x.ID, y.ID) })
	return fences, all
}
