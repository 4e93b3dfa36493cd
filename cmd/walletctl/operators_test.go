package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/ledger"
	"github.com/walletd/walletd/internal/wallet"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// desk is an operator's place: walletctl with a ledger on a real PostgreSQL and a
// broker of the test's own, found by the environment as walletd finds them.
type desk struct {
	*testing.T
	ledger *ledger.Ledger
	broker *kfake.Cluster
	topic  wallet.Topic
}

const journalTopic = "desk.journal"

// sit prepares a migrated ledger that follows a topic of two partitions.
func sit(t *testing.T) *desk {
	t.Helper()
	dsn := embeddedtest.Database(t)
	d := &desk{T: t, broker: embeddedtest.Kfake(t)}
	d.environment(dsn)
	d.open(dsn)
	d.makeTopic()
	d.topic = d.topicNow()
	if _, err := d.ledger.Follow(t.Context(), d.topic); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) environment(dsn string) {
	var at config.Postgres
	if err := at.Point(dsn); err != nil {
		d.Fatal(err)
	}
	for _, variable := range append(at.Environ(), "WALLETD_KAFKA_BROKERS="+strings.Join(d.broker.ListenAddrs(), ","), "WALLETD_KAFKA_TOPIC="+journalTopic) {
		name, value, _ := strings.Cut(variable, "=")
		d.Setenv(name, value)
	}
}

func (d *desk) open(dsn string) {
	var err error
	if d.ledger, err = ledger.Open(embeddedtest.LedgerConfig(dsn)); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(d.ledger.Close)
}

func (d *desk) makeTopic() {
	d.Helper()
	if err := d.broker.CreateTopic(journalTopic, 2, nil); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) topicNow() wallet.Topic {
	return wallet.Topic{Name: journalTopic, ID: d.broker.TopicInfo(journalTopic).TopicID, Partitions: 2}
}

// run runs a command that must end with the code, and returns what it printed.
func (d *desk) run(code int, args ...string) (stdout, stderr string) {
	d.Helper()
	var out, err bytes.Buffer
	args = append(args, "--config", "../../config.env")
	if got := run(d.Context(), args, strings.NewReader(""), &out, &err, false); got != code {
		d.Fatalf("%q: exit %d, want %d\n%s%s", args, got, code, &out, &err)
	}
	return out.String(), err.String()
}

// shown runs a command with --json and decodes what it printed.
func shown[T any](d *desk, args ...string) (v T) {
	d.Helper()
	out, _ := d.run(0, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		d.Fatalf("%v in %s", err, out)
	}
	return v
}

func (d *desk) has(text string, parts ...string) {
	d.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			d.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// traces are the interventions, newest first.
func (d *desk) traces() []intervention {
	d.Helper()
	return shown[struct{ Interventions []intervention }](d, "interventions").Interventions
}

// aside sets a new wallet aside for a day, with one operation.
func (d *desk) aside() uuid.UUID {
	d.Helper()
	p, err := d.ledger.Partition(d.Context(), d.topic.ID, 0)
	if err != nil {
		d.Fatal(err)
	}
	id := uuid.New()
	op := wallet.Operation{ID: uuid.New(), WalletID: id, Type: wallet.Deposit, Amount: 7, AcceptedAt: time.Now(), Receipt: wallet.Receipt{Offset: p.Next}}
	list := wallet.List{WalletID: id, Length: 1, Attempt: 3, Refusals: 3, NotBefore: time.Now().Add(24 * time.Hour), LastError: "its row is held locked"}
	err = d.ledger.Commit(d.Context(), &wallet.Batch{Fence: &wallet.Fence{Topic: d.topic.ID, From: p.Next, To: p.Next + 1},
		Lists: []wallet.ListChange{{List: list, Append: []wallet.Entry{{Kind: wallet.KindOperations, Operation: op}}}}})
	if err != nil {
		d.Fatal(err)
	}
	return id
}

func (d *desk) due() int {
	d.Helper()
	due, err := d.ledger.Due(d.Context(), 0, time.Now().Add(time.Minute), 1000*time.Hour, 100)
	if err != nil {
		d.Fatal(err)
	}
	return len(due)
}

func TestWalletsSetAsideAreListedAndReleased(t *testing.T) {
	d := sit(t)
	one, two, three := d.aside(), d.aside(), d.aside()
	out, _ := d.run(0, "requeued", "list")
	d.has(out, one.String(), two.String(), three.String(), "its row is held locked", "DEPOSIT 7", "3 wallets are set aside")
	out, _ = d.run(0, "requeued", "list", "--limit", "2")
	d.has(out, "there may be more: --after ")
	list := shown[struct{ Requeued []aside }](d, "requeued", "list").Requeued
	if len(list) != 3 || list[0].Attempt != 3 || list[0].First.Amount != 7 {
		t.Errorf("listed %+v", list)
	}
	out, _ = d.run(0, "requeued", "release", one.String(), "--reason", "the row is free", "--by", "ada")
	d.has(out, "1 wallets are due at once")
	if n := d.due(); n != 1 {
		t.Errorf("%d are due", n)
	}
	stranger := uuid.NewString()
	_, errors := d.run(exitRefused, "requeued", "release", two.String(), stranger, "--reason", "again")
	d.has(errors, "not set aside, or no longer: ["+stranger+"]")
	d.run(0, "requeued", "release", "--all", "--reason", "all of them")
	if n := d.due(); n != 3 {
		t.Errorf("%d are due", n)
	}
	traces := d.traces()
	if last := traces[len(traces)-1]; len(traces) != 5 || last.Who != "ada" || last.Subject != one.String() || last.Reason != "the row is free" {
		t.Errorf("the traces are %+v", traces)
	}
	if by := traces[0].Who; !strings.Contains(by, "@") {
		t.Errorf("by default it was %q", by)
	}
	out, _ = d.run(0, "interventions", "--limit", "1")
	d.has(out, "release", "all of them", "there may be more: --before ")
}

func TestOperatorsAreToldWhatIsMissing(t *testing.T) {
	d := sit(t)
	for flag, args := range map[string][]string{
		"--all": {"requeued", "release", "--reason", "x"}, "--reason": {"requeued", "release", "--all"}, "--limit": {"interventions", "--limit", "0"},
		"--by": {"requeued", "release", "--all", "--reason", "x", "--by", strings.Repeat("x", maxTraceBytes+1)},
	} {
		_, errors := d.run(exitUsage, args...)
		d.has(errors, flag)
	}
	d.Setenv("WALLETD_POSTGRES_PORT", "no")
	_, errors := d.run(exitUsage, "requeued", "list")
	d.has(errors, "WALLETD_POSTGRES_PORT")
	d.Setenv("WALLETD_POSTGRES_PORT", "1")
	d.run(exitUnavailable, "requeued", "list")
}

// produce writes a record to the journal, as whoever else does.
func (d *desk) produce(headers []kgo.RecordHeader, key string, value []byte) {
	d.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(d.broker.ListenAddrs()...))
	if err != nil {
		d.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(d.Context(), &kgo.Record{Topic: journalTopic, Key: []byte(key), Value: value, Headers: headers}).FirstErr(); err != nil {
		d.Fatal(err)
	}
}
