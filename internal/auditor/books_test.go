package auditor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

// books are places that a bookkeeper fills as walletd does, one record and one
// commit after the other, so that a test can plant one difference.
type books struct {
	*places
	states map[uuid.UUID]wallet.State
	at     time.Time
}

func newBooks(t testing.TB) *books {
	return &books{newPlaces(t), map[uuid.UUID]wallet.State{}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// honest are books of two wallets in which everything occurs that is no fault.
func honest(t testing.TB) (b *books, one, two uuid.UUID) {
	b = newBooks(t)
	one, two = b.create(), b.create()
	first := b.operation(one, wallet.Deposit, 100)
	b.journaled(first)
	b.journaled(b.operation(one, wallet.Withdraw, 500), b.operation(one, wallet.Withdraw, 30))
	b.journaled(first) // repeated with its key
	other := first
	other.Amount++
	b.journaled(other) // the key used twice
	// Kafka is away; one record gets there after all, and what follows is met before
	// the backfills.
	late, direct := b.operation(one, wallet.Deposit, 7), b.operation(one, wallet.Deposit, 8)
	promised := b.direct(late, direct)
	b.journaled(late, b.operation(one, wallet.Withdraw, 1))
	b.backfill(promised...)
	b.backfill(promised...) // by a zombie
	b.journaled(b.operation(two, wallet.Deposit, 9_007_199_254_740_991))
	b.journaled(b.operation(two, wallet.Deposit, 1))
	stranger := b.operation(uuid.New(), wallet.Deposit, 5)
	b.journaled(stranger)
	b.journaled(stranger)
	b.poison(b.partition(one), true)
	b.requeued(b.operation(two, wallet.Withdraw, 2), b.operation(two, wallet.Withdraw, 3))
	b.direct(b.operation(one, wallet.Deposit, 6))
	b.sql("INSERT INTO wallets VALUES ($1, 0, 0, now(), now())", uuid.New()) // made without the journal, to be noted there
	b.cache(one, b.states[one])
	b.cache(two, wallet.State{Sequence: 1, Balance: 9_007_199_254_740_991})
	b.cache(uuid.New(), wallet.State{}) // journaled, not in the ledger yet
	b.cache(uuid.New(), wallet.State{Sequence: -1})
	return b, one, two
}

// underWay is a record that the ledger has not passed.
func (b *books) underWay(id uuid.UUID) wallet.Record {
	return b.produce(wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{b.operation(id, wallet.Deposit, 4)}})
}

func (b *books) partition(id uuid.UUID) int32 {
	return journal.PartitionAmong(id, partitions)
}

func (b *books) operation(id uuid.UUID, kind wallet.Type, amount wallet.Amount) wallet.Operation {
	b.at = b.at.Add(time.Millisecond)
	return wallet.Operation{ID: uuid.New(), WalletID: id, Type: kind, Amount: amount, AcceptedAt: b.at, Receipt: wallet.NoReceipt}
}

// produce writes a record and returns it with its place.
func (b *books) produce(rec wallet.Record) wallet.Record {
	b.t.Helper()
	r := journal.Encode(&rec)
	r.Partition = b.partition(rec.WalletID)
	rec.Receipt = b.raw(r)
	return rec
}

func (b *books) raw(r *kgo.Record) wallet.Receipt {
	b.t.Helper()
	r.Topic = b.topic.Name
	r = must[*kgo.Record](b.t)(b.kafka.ProduceSync(testContext(b.t), r).First())
	return wallet.Receipt{Partition: r.Partition, Offset: r.Offset}
}

func (b *books) commit(batch *wallet.Batch) {
	b.t.Helper()
	if err := b.ledger.Commit(testContext(b.t), batch); err != nil {
		b.t.Fatal(err)
	}
}

// pass is a batch that moves the ledger over a record.
func (b *books) pass(r wallet.Receipt) *wallet.Batch {
	return &wallet.Batch{Fence: &wallet.Fence{Topic: b.topic.ID, Partition: r.Partition, From: r.Offset, To: r.Offset + 1}}
}

func (b *books) create() uuid.UUID {
	id := uuid.New()
	rec := b.produce(wallet.Record{Kind: wallet.KindCreate, WalletID: id, Operations: []wallet.Operation{{ID: id, WalletID: id, AcceptedAt: b.at}}})
	batch := b.pass(rec.Receipt)
	batch.Creates = []wallet.Creation{{ID: id, At: b.at}}
	b.commit(batch)
	b.states[id] = wallet.State{}
	return id
}

// apply decides operations into a batch, those that the ledger has not.
func (b *books) apply(batch *wallet.Batch, ops []wallet.Operation) []wallet.Operation {
	b.t.Helper()
	id := ops[0].WalletID
	before, known := b.states[id]
	after, done := before, []wallet.Operation(nil)
	for _, op := range ops {
		has := must[wallet.Snapshot](b.t)(b.ledger.Read(testContext(b.t), wallet.SnapshotQuery{Operations: []wallet.Key{op.Key()}}))
		switch {
		case len(has.Operations) > 0:
			continue
		case known:
			after, op = wallet.Apply(after, op, b.at)
		default:
			op = wallet.Refuse(op, b.at)
		}
		done = append(done, op)
	}
	batch.Operations = done
	if after != before {
		batch.Changes = []wallet.Change{{ID: id, FromSequence: before.Sequence, State: after, At: b.at}}
		b.states[id] = after
	}
	return done
}

// journaled writes a record and applies it.
func (b *books) journaled(ops ...wallet.Operation) {
	b.t.Helper()
	rec := b.produce(wallet.Record{Kind: wallet.KindOperations, WalletID: ops[0].WalletID, Operations: ops})
	ops = slices.Clone(ops)
	for i := range ops {
		ops[i].Receipt = rec.Receipt
	}
	batch := b.pass(rec.Receipt)
	b.apply(batch, ops)
	b.commit(batch)
}

// direct applies operations without the journal and returns them with their outcomes.
func (b *books) direct(ops ...wallet.Operation) []wallet.Operation {
	b.t.Helper()
	for i := range ops {
		ops[i].Origin = wallet.Direct
	}
	batch := &wallet.Batch{}
	done := b.apply(batch, ops)
	b.commit(batch)
	return done
}

func (b *books) backfill(ops ...wallet.Operation) {
	b.t.Helper()
	rec := b.produce(wallet.Record{Kind: wallet.KindBackfill, WalletID: ops[0].WalletID, Operations: ops})
	b.commit(b.pass(rec.Receipt))
	for _, op := range ops {
		if err := b.ledger.Journaled(testContext(b.t), []wallet.Key{op.Key()}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// poison writes bytes that do not decode and passes them.
func (b *books) poison(partition int32, letter bool) {
	b.t.Helper()
	place := b.raw(&kgo.Record{Partition: partition, Key: []byte("nobody"), Value: []byte("?")})
	b.commit(b.pass(place))
	if letter {
		must[*kgo.Record](b.t)(b.kafka.ProduceSync(testContext(b.t), &kgo.Record{Topic: b.topic.Name + ".dead-letters", Headers: []kgo.RecordHeader{
			{Key: "walletd-partition", Value: fmt.Append(nil, place.Partition)}, {Key: "walletd-offset", Value: fmt.Append(nil, place.Offset)}, {Key: "walletd-error", Value: []byte("it does not decode")},
		}}).First())
	}
}

// requeued writes a record and sets its wallet aside.
func (b *books) requeued(ops ...wallet.Operation) {
	b.t.Helper()
	rec := b.produce(wallet.Record{Kind: wallet.KindOperations, WalletID: ops[0].WalletID, Operations: ops})
	list := wallet.ListChange{List: wallet.List{WalletID: rec.WalletID, Length: len(ops), NotBefore: b.at}}
	for _, op := range ops {
		op.Receipt = rec.Receipt
		list.Append = append(list.Append, wallet.Entry{Kind: rec.Kind, Operation: op})
	}
	batch := b.pass(rec.Receipt)
	batch.Lists = []wallet.ListChange{list}
	b.commit(batch)
}

func (b *books) cache(id uuid.UUID, s wallet.State) {
	b.redis.Set("walletd:balance:"+id.String(), fmt.Sprintf("%d %d %d", s.Sequence, s.Balance, b.at.UnixMicro()))
}

// sql plants something behind the ledger's back.
func (b *books) sql(statement string, args ...any) {
	b.t.Helper()
	tag, err := b.conn.Exec(testContext(b.t), statement, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	if tag.RowsAffected() == 0 {
		b.t.Fatalf("%s changes nothing", statement)
	}
}
