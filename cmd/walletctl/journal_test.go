package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// remake gives the journal's name to another topic.
func (d *desk) remake() {
	d.Helper()
	if err := errors.Join(d.broker.DeleteTopic(journalTopic)); err != nil {
		d.Fatal(err)
	}
	d.makeTopic()
	d.topic = d.topicNow()
}

type shownStatus struct {
	Ledger, Kafka *topic
	Generation    int
	Partitions    []partition
}

func TestAcceptTopicHasTheLedgerFollowTheTopicThatKafkaHas(t *testing.T) {
	d := sit(t)
	d.aside() // moves partition 0 to 1, with nothing in the journal
	before := d.topic
	status := shown[shownStatus](d, "journal", "status")
	if p := status.Partitions[0]; p.Next != 1 || p.End != 0 || !strings.Contains(p.Stopped, "0 to 0 are gone") || status.Partitions[1].Stopped != "" {
		t.Errorf("before: %+v", status)
	}
	d.remake()
	out, _ := d.run(0, "journal", "status")
	d.has(out, before.ID.String(), d.topic.ID.String(), "the topic is another than the one the ledger follows")

	_, text := d.run(exitUsage, "journal", "accept-topic", "--reason", "x")
	d.has(text, "--topic-id")
	_, text = d.run(exitUsage, "journal", "accept-topic", "--topic-id", d.topic.ID.String())
	d.has(text, "--reason")
	_, text = d.run(exitRefused, "journal", "accept-topic", "--topic-id", before.ID.String(), "--reason", "x", "--yes")
	d.has(text, "is not the topic that Kafka has, which is "+d.topic.ID.String())
	_, text = d.run(exitRefused, "journal", "accept-topic", "--topic-id", d.topic.ID.String(), "--reason", "x") // nobody says yes
	d.has(text, "The ledger leaves topic "+journalTopic, "partition 0: from offset 1 to 0", "nothing was changed")
	if len(d.traces()) != 0 {
		t.Error("what was not done is traced")
	}

	var printed bytes.Buffer
	args := []string{"journal", "accept-topic", "--topic-id", d.topic.ID.String(), "--reason", "the disk is gone", "--by", "ada", "--config", "../../config.env"}
	if code := run(t.Context(), args, strings.NewReader("yes\n"), &printed, &printed, false); code != 0 {
		t.Fatal(printed.String())
	}
	status = shown[shownStatus](d, "journal", "status")
	if status.Ledger == nil || status.Ledger.ID != d.topic.ID || status.Generation != 1 || len(status.Partitions) != 2 {
		t.Fatalf("afterwards: %+v", status)
	}
	for _, p := range status.Partitions {
		if p.Stopped != "" || p.Next != 0 || p.Lag != 0 {
			t.Errorf("afterwards: %+v", p)
		}
	}
	if i := d.traces()[0]; i.Action != wallet.ActionAccept || i.Who != "ada" || i.Reason != "the disk is gone" || !strings.Contains(i.Subject, d.topic.ID.String()) {
		t.Errorf("traced %+v", i)
	}
	_, text = d.run(exitRefused, "journal", "accept-topic", "--topic-id", d.topic.ID.String(), "--reason", "x", "--yes")
	d.has(text, "there is nothing to accept")
}

func TestAcceptTopicFromTheEndPassesOverWhatIsThere(t *testing.T) {
	d := sit(t)
	d.remake()
	id := uuid.New()
	d.produce(nil, id.String(), []byte("x"))
	out, text := d.run(0, "journal", "accept-topic", "--topic-id", d.topic.ID.String(), "--reason", "x", "--yes", "--from", "end")
	d.has(text, "1 that are there are passed over")
	d.has(out, "take a base backup of the ledger now")
	for _, p := range shown[shownStatus](d, "journal", "status").Partitions {
		if p.Next != p.End || p.Stopped != "" {
			t.Errorf("afterwards: %+v", p)
		}
	}
}

func TestAComponentThatDoesNotAnswerIsUnavailable(t *testing.T) {
	d := sit(t)
	d.Setenv("WALLETD_KAFKA_BROKERS", "127.0.0.1:1")
	_, text := d.run(exitUnavailable, "journal", "status", "--timeout", "2s")
	d.has(text, "no broker answers")
	d.Setenv("WALLETD_POSTGRES_PORT", "1")
	d.run(exitUnavailable, "journal", "status", "--timeout", "2s")
	d.run(exitUnavailable, "journal", "accept-topic", "--topic-id", d.topic.ID.String(), "--reason", "x", "--timeout", "2s")
}
