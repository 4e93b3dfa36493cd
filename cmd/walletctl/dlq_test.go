package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/walletd/walletd/internal/journal"
	"github.com/walletd/walletd/internal/wallet"
)

// bury makes a dead letter of what could have been in the journal.
func (d *desk) bury(poison wallet.Poison, origin wallet.Receipt) {
	d.Helper()
	if d.broker.TopicInfo(journalTopic+".dead-letters") == nil {
		if err := d.broker.CreateTopic(journalTopic+".dead-letters", 1, nil); err != nil {
			d.Fatal(err)
		}
	}
	c := components{Config: "../../config.env"}
	j, err := c.journal()
	if err != nil {
		d.Fatal(err)
	}
	defer j.Close()
	if err := j.Bury(d.Context(), wallet.Record{Kind: wallet.KindPoison, Poison: &poison, Receipt: origin}); err != nil {
		d.Fatal(err)
	}
}

// readable is a record that decodes, as poison that a program before this one met.
func readable(id uuid.UUID) (wallet.Poison, wallet.Operation) {
	op := wallet.Operation{ID: uuid.New(), WalletID: id, Type: wallet.Deposit, Amount: 7, AcceptedAt: time.UnixMicro(1_700_000_000_000_000).UTC()}
	r := journal.Encode(&wallet.Record{Kind: wallet.KindOperations, WalletID: id, Operations: []wallet.Operation{op}, Replica: uuid.New()})
	p := wallet.Poison{Key: r.Key, Value: r.Value, Err: errors.New("version 1 is not known")}
	for _, h := range r.Headers {
		p.Headers = append(p.Headers, wallet.Header{Key: h.Key, Value: h.Value})
	}
	return p, op
}

// journaled reads what is in the journal, n records.
func (d *desk) journaled(n int) (records []*kgo.Record) {
	d.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(d.broker.ListenAddrs()...), kgo.ConsumeTopics(journalTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		d.Fatal(err)
	}
	defer client.Close()
	for len(records) < n {
		fetches := client.PollFetches(d.Context())
		if err := fetches.Err(); err != nil {
			d.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	if len(records) != n {
		d.Fatalf("%d records, want %d", len(records), n)
	}
	return records
}

type shownLetters struct {
	DeadLetters []letter
	Next        string
}

func TestADeadLetterThatDecodesIsReplayedOnce(t *testing.T) {
	d := sit(t)
	d.run(0, "dlq", "list") // there is no topic yet
	d.bury(wallet.Poison{Key: []byte("no wallet"), Value: []byte("by hand"), Headers: []wallet.Header{{Key: "from", Value: []byte("hand")}}, Err: errors.New("the key is not a wallet")}, wallet.Receipt{Partition: 1, Offset: 12})
	id := uuid.New()
	poison, op := readable(id)
	d.bury(poison, wallet.Receipt{Partition: 0, Offset: 3})

	out, _ := d.run(0, "dlq", "list")
	d.has(out, "0-0", "1-12", "open", "the key is not a wallet", "0-1", "version 1 is not known", "2 dead letters")
	out, _ = d.run(0, "dlq", "show", "0-0")
	d.has(out, `"no wallet"`, `header "from"`, `"hand"`, "does not decode: the key is not", "62 79 20 68 61 6e 64", "|by hand|")
	if strings.Contains(out, "walletd-offset") {
		t.Error("the headers are not the record's own")
	}
	out, _ = d.run(0, "dlq", "show", "0-1")
	d.has(out, "decodes: operations of wallet "+id.String(), op.ID.String(), "DEPOSIT 7")

	_, text := d.run(exitRefused, "dlq", "replay", "0-0")
	d.has(text, "does not decode", "--force")
	d.run(exitRefused, "dlq", "replay", "0-2")
	d.run(exitUsage, "dlq", "replay", "first")
	out, _ = d.run(0, "dlq", "replay", "0-1", "--by", "ada", "--reason", "upgraded")
	d.has(out, "replayed: it is in the journal again at ")
	_, text = d.run(exitRefused, "dlq", "replay", "0-1")
	d.has(text, "resolved before: replayed by ada", "--force")
	_, text = d.run(exitRefused, "dlq", "discard", "0-1", "--reason", "x")
	d.has(text, "resolved before")
	r := d.journaled(1)[0]
	if !bytes.Equal(r.Key, poison.Key) || !bytes.Equal(r.Value, poison.Value) || len(r.Headers) != len(poison.Headers) {
		t.Errorf("replayed %+v", r)
	}
	_, text = d.run(exitUsage, "dlq", "replay", "0-1", "--force")
	d.has(text, "--reason")
	d.run(0, "dlq", "replay", "0-1", "--force", "--reason", "once more")
	d.run(0, "dlq", "replay", "0-0", "--force", "--reason", "to see")
	for _, r := range d.journaled(3) {
		if string(r.Key) == "no wallet" && r.Partition != 1 {
			t.Errorf("it went to partition %d", r.Partition)
		}
	}
	if i := d.traces(); len(i) != 3 || i[2].Action != wallet.ActionReplay || i[2].Who != "ada" || i[2].Detail["journal"] != "0-3" || i[2].Detail["appended"] == "" {
		t.Errorf("traced %+v", i)
	}
}

func TestALetterThatHasOnlyAPlaceIsNotReplayed(t *testing.T) {
	d := sit(t)
	d.bury(wallet.Poison{Value: make([]byte, 64<<20), Err: errors.New("version 0 is not known")}, wallet.Receipt{Partition: 1, Offset: 12})
	for _, more := range [][]string{nil, {"--force", "--reason", "x"}} {
		_, text := d.run(exitRefused, append([]string{"dlq", "replay", "0-0"}, more...)...)
		d.has(text, "nothing to append", "version 0 is not known", "in the journal, at its place")
	}
	out, _ := d.run(0, "dlq", "list", "--state", "open")
	d.has(out, "1-12")
	if i := d.traces(); len(i) != 0 {
		t.Errorf("traced %+v", i)
	}
}

func TestDeadLettersAreListedByStateAndInParts(t *testing.T) {
	d := sit(t)
	for n := range 5 {
		d.bury(wallet.Poison{Key: []byte("no wallet"), Value: []byte{byte(n)}, Err: errors.New("x")}, wallet.Receipt{Offset: int64(n)})
	}
	_, text := d.run(exitUsage, "dlq", "discard", "0-1")
	d.has(text, "--reason")
	d.run(0, "dlq", "discard", "0-1", "--reason", "a test's")
	d.run(0, "dlq", "replay", "0-2", "--force", "--reason", "to see")
	for state, want := range map[string]int{"all": 5, "open": 3, "discarded": 1, "replayed": 1} {
		if got := shown[shownLetters](d, "dlq", "list", "--state", state); len(got.DeadLetters) != want || got.Next != "" {
			t.Errorf("%s: %+v", state, got)
		}
	}
	var places []string
	for from := "0-0"; from != ""; {
		part := shown[shownLetters](d, "dlq", "list", "--state", "open", "--limit", "2", "--from", from)
		for _, l := range part.DeadLetters {
			places = append(places, l.Place)
		}
		from = part.Next
	}
	if strings.Join(places, " ") != "0-0 0-3 0-4" {
		t.Errorf("in parts: %v", places)
	}
	d.run(exitUsage, "dlq", "list", "--state", "gone")
}

func TestNothingIsReplayedIntoATopicThatTheLedgerDoesNotFollow(t *testing.T) {
	d := sit(t)
	poison, _ := readable(uuid.New())
	d.bury(poison, wallet.Receipt{})
	d.remake()
	_, text := d.run(exitRefused, "dlq", "replay", "0-0")
	d.has(text, "see journal status")
	if got := shown[shownLetters](d, "dlq", "list", "--state", "open"); len(got.DeadLetters) != 1 {
		t.Errorf("it is no longer open: %+v", got)
	}
}
