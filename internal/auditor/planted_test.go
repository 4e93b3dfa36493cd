package auditor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/walletd/walletd/internal/audit"
	"github.com/walletd/walletd/internal/auditor"
	"github.com/walletd/walletd/internal/wallet"
)

func (p *places) audit(o auditor.Options) *audit.Report {
	p.t.Helper()
	r, err := auditor.Run(testContext(p.t), p.cfg, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func list(findings []audit.Finding) string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func TestHonestBooksAreClean(t *testing.T) {
	b, one, _ := honest(t)
	b.underWay(one)
	b.sql("UPDATE journal SET generation = 1") // an operator has accepted a journal once
	r := b.audit(auditor.Options{})
	if !r.Clean() || len(r.Findings) > 0 {
		t.Errorf("found:\n%s", list(r.Findings))
	}
	if r.Records != 15 || r.Wallets != 3 || r.Cached != 2 || r.CachedElsewhere != 1 || r.InFlight != 1 || r.Requeued != 2 || r.AwaitingBackfill != 2 || r.KeysReused != 1 || len(r.Notes) != 1 {
		t.Errorf("%+v", r)
	}
	if r := b.audit(auditor.Options{Wallet: one}); !r.Clean() || r.Wallets != 1 || r.Cached != 1 || r.Requeued != 0 {
		t.Errorf("of one wallet: %+v\n%s", r, list(r.Findings))
	}
}

// plant is one difference in honest books, and what must be found: exactly that.
type plant struct {
	name string
	do   func(b *books, one, two uuid.UUID)
	want []string // a kind, and the sequence if there is one
}

const ofOne = " WHERE wallet_id = $1 AND sequence = "

var plants = []plant{
	{"an operation and its effect are lost from the end", func(b *books, one, two uuid.UUID) {
		b.sql("DELETE FROM operations"+ofOne+"2", two)
		b.sql("UPDATE wallets SET version = 1 WHERE id = $1", two)
	}, []string{"lost"}},
	{"an operation is lost from the middle", func(b *books, one, _ uuid.UUID) {
		b.sql("DELETE FROM operations"+ofOne+"2", one)
	}, []string{"lost", "sequence_gap 3"}},
	{"a record is passed and nothing of it applied", func(b *books, one, _ uuid.UUID) {
		rec := b.underWay(one)
		b.sql("UPDATE journal_offsets SET next_offset = $2 WHERE partition = $1", rec.Receipt.Partition, rec.Receipt.Offset+1)
	}, []string{"lost"}},
	{"a requeued operation is dropped", func(b *books, _, two uuid.UUID) {
		b.sql("DELETE FROM requeued WHERE wallet_id = $1 AND amount = 3", two)
	}, []string{"list_differs", "lost"}},
	{"a backfilled operation is not in the ledger", func(b *books, one, _ uuid.UUID) {
		b.backfill(wallet.Operation{ID: uuid.New(), WalletID: one, Type: wallet.Deposit, Amount: 1, Status: wallet.Applied, Sequence: 99, BalanceAfter: 1, AcceptedAt: b.at, AppliedAt: b.at, Receipt: wallet.NoReceipt})
	}, []string{"lost 99"}},
	{"an amount is another", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE operations SET amount = 99"+ofOne+"1", one)
	}, []string{"request_differs 1", "wrong_balance 1"}},
	{"a refused operation says applied", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE operations SET status = 1, reason = 0"+ofOne+"2", one)
	}, []string{"wrong_outcome 2"}},
	{"an applied operation says that its wallet did not exist", func(b *books, one, two uuid.UUID) {
		b.journaled(b.operation(one, wallet.Deposit, 1))
		b.sql("UPDATE operations SET sequence = NULL, balance_after = NULL, status = 2, reason = 3"+ofOne+"8", one)
	}, []string{"wallet_differs 8", "wrong_outcome"}},
	{"all operations of a wallet say that it did not exist", func(b *books, _, _ uuid.UUID) {
		id := b.create()
		b.journaled(b.operation(id, wallet.Deposit, 1000), b.operation(id, wallet.Deposit, 1))
		b.sql("UPDATE operations SET sequence = NULL, balance_after = NULL, status = 2, reason = 3 WHERE wallet_id = $1", id)
		b.sql("UPDATE wallets SET balance = 0, version = 0 WHERE id = $1", id)
	}, []string{"wrong_outcome", "wrong_outcome"}},
	{"a requeued amount is another", func(b *books, _, two uuid.UUID) {
		b.sql("UPDATE requeued SET amount = 1000 WHERE wallet_id = $1 AND amount = 2", two)
	}, []string{"request_differs"}},
	{"a requeued operation that nobody asked for", func(b *books, _, two uuid.UUID) {
		b.sql(`INSERT INTO requeued (wallet_id, kind, operation_id, type, amount, accepted_at, partition, journal_offset)
			SELECT wallet_id, kind, $2, type, 1000000, accepted_at, partition, journal_offset FROM requeued WHERE wallet_id = $1 LIMIT 1`, two, uuid.New())
		b.sql("UPDATE requeued_lists SET length = length + 1 WHERE wallet_id = $1", two)
	}, []string{"not_journaled"}},
	{"a requeued list has no head, and no owner so", func(b *books, _, two uuid.UUID) {
		b.sql("DELETE FROM requeued_lists WHERE wallet_id = $1", two)
	}, []string{"list_differs"}},
	{"a requeued list is another partition's", func(b *books, _, two uuid.UUID) {
		b.sql("UPDATE requeued_lists SET partition = partition + 1 WHERE wallet_id = $1", two)
	}, []string{"list_differs"}},
	{"a balance after is another", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE operations SET balance_after = 71"+ofOne+"3", one)
	}, []string{"wrong_balance 3", "wrong_balance 4"}},
	{"two operations were applied in the other order", func(b *books, one, _ uuid.UUID) {
		x, y := b.operation(one, wallet.Deposit, 1), b.operation(one, wallet.Deposit, 1)
		b.journaled(x)
		b.journaled(y)
		b.sql("UPDATE operations SET sequence = 100 WHERE operation_id = $1", x.ID)
		b.sql("UPDATE operations SET sequence = 8, balance_after = balance_after - 1 WHERE operation_id = $1", y.ID)
		b.sql("UPDATE operations SET sequence = 9, balance_after = balance_after + 1 WHERE operation_id = $1", x.ID)
	}, []string{"out_of_order 8"}},
	{"a receipt names another place", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE operations SET journal_offset = journal_offset + 1"+ofOne+"1", one)
	}, []string{"receipt_differs 1"}},
	{"an operation that nobody journaled", func(b *books, one, _ uuid.UUID) {
		b.sql(insertOperation, one, uuid.New(), 8, 0)
		b.sql("UPDATE wallets SET version = 8, balance = balance + 1 WHERE id = $1", one)
	}, []string{"not_journaled 8"}},
	{"such a one in the middle", func(b *books, one, _ uuid.UUID) {
		b.sql(insertOperation, one, uuid.New(), 8, 0)
		b.sql("UPDATE wallets SET version = 8, balance = balance + 1 WHERE id = $1", one)
		b.states[one] = wallet.State{Sequence: 8, Balance: b.states[one].Balance + 1}
		b.journaled(b.operation(one, wallet.Deposit, 1))
	}, []string{"not_journaled 8"}},
	{"a direct operation that is never backfilled", func(b *books, one, _ uuid.UUID) {
		b.sql("DELETE FROM unjournaled WHERE wallet_id = $1", one)
	}, []string{"not_journaled 7"}},
	{"an operation of a wallet that there never was", func(b *books, _, _ uuid.UUID) {
		b.sql(insertOperation, uuid.New(), uuid.New(), 1, 0)
	}, []string{"not_journaled 1"}},
	{"a refusal that nobody asked for", func(b *books, _, _ uuid.UUID) {
		b.sql(insertOperation, uuid.New(), uuid.New(), nil, 0)
	}, []string{"not_journaled"}},
	{"a direct operation is not as it was promised", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE operations SET status = 2, reason = 1"+ofOne+"4", one)
	}, []string{"backfill_differs 4", "backfill_differs 4", "wrong_outcome 4"}},
	{"a wallet's row is gone", func(b *books, one, two uuid.UUID) {
		b.sql("DELETE FROM wallets WHERE id = $1", two)
	}, []string{"wallet_missing", "wallet_missing"}},
	{"a balance was changed by hand", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE wallets SET balance = balance + 1 WHERE id = $1", one)
	}, []string{"wallet_differs 7"}},
	{"a version was set back", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE wallets SET version = 5 WHERE id = $1", one)
	}, []string{"cache_differs 7", "wallet_differs 5"}},
	{"a wallet holds money that no operation brought", func(b *books, _, _ uuid.UUID) {
		b.sql("INSERT INTO wallets VALUES ($1, 5, 0, now(), now())", uuid.New())
	}, []string{"wallet_differs 0"}},
	{"the ledger follows another topic", func(b *books, _, _ uuid.UUID) {
		b.sql("UPDATE journal SET topic_id = $1", uuid.New())
	}, []string{"topic_differs"}},
	{"the topic has another number of partitions", func(b *books, _, _ uuid.UUID) {
		b.sql("UPDATE journal SET partitions = 3")
	}, []string{"topic_differs"}},
	{"the ledger's offset is beyond the journal's end", func(b *books, one, _ uuid.UUID) {
		b.sql("UPDATE journal_offsets SET next_offset = 1000 WHERE partition = $1", b.partition(one))
	}, []string{"lost", "offset_outside"}}, // what was in flight counts as passed
	{"the journal has lost its beginning", func(b *books, one, _ uuid.UUID) {
		p := b.partition(one)
		var trim kadm.Offsets
		trim.Add(kadm.Offset{Topic: b.topic.Name, Partition: p, At: 1, LeaderEpoch: -1})
		must[kadm.DeleteRecordsResponses](b.t)(kadm.NewClient(b.kafka).DeleteRecords(testContext(b.t), trim))
	}, []string{"not_journaled", "offset_outside"}},
	{"a wallet that nobody journaled", func(b *books, _, _ uuid.UUID) {
		id := uuid.New()
		b.sql("INSERT INTO wallets VALUES ($1, 0, 0, now(), now())", id)
		b.sql("DELETE FROM unjournaled WHERE wallet_id = $1", id)
	}, []string{"not_journaled"}},
	{"an undecodable record is passed and not kept", func(b *books, _, two uuid.UUID) {
		b.poison(b.partition(two), false)
	}, []string{"letter_missing"}},
	{"a cached balance is another", func(b *books, one, _ uuid.UUID) {
		b.cache(one, wallet.State{Sequence: 3, Balance: 71})
	}, []string{"cache_differs 3"}},
	{"the cache is ahead of the ledger", func(b *books, one, _ uuid.UUID) {
		b.cache(one, wallet.State{Sequence: 8, Balance: 1})
	}, []string{"cache_differs 8"}},
	{"a cached balance does not decode", func(b *books, one, _ uuid.UUID) {
		b.redis.Set("walletd:balance:"+one.String(), "much")
	}, []string{"cache_differs"}},
}

const insertOperation = `INSERT INTO operations (wallet_id, operation_id, sequence, type, amount, status, reason, origin, balance_after, accepted_at, applied_at)
	SELECT $1, $2, $3::bigint, 1, 1, CASE WHEN $3 IS NULL THEN 2 ELSE 1 END, CASE WHEN $3 IS NULL THEN 3 ELSE 0 END, $4,
		CASE WHEN $3 IS NULL THEN NULL ELSE (SELECT coalesce(max(balance), 0) + 1 FROM wallets WHERE id = $1) END, now(), now()`

func TestEachPlantedDifferenceIsFoundAndNothingElse(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b, one, two := honest(t)
			p.do(b, one, two)
			b.underWay(one)
			r := b.audit(auditor.Options{})
			got, total := []string(nil), int64(0)
			for _, f := range r.Findings {
				line := string(f.Kind)
				if f.Sequence != nil {
					line += fmt.Sprint(" ", *f.Sequence)
				}
				got = append(got, line)
			}
			for _, n := range r.Totals {
				total += n
			}
			slices.Sort(got)
			if !slices.Equal(got, p.want) || total != int64(len(got)) {
				t.Errorf("found %q, of %d, want %q\n%s", got, total, p.want, list(r.Findings))
			}
		})
	}
}
