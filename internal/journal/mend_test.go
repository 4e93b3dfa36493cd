package journal

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
	"github.com/walletd/walletd/internal/wallet"
)

// refusing is a broker that gives no producer id for the first n times it is asked.
func refusing(t *testing.T, err *kerr.Error, n int) *kfake.Cluster {
	t.Helper()
	broker := embeddedtest.Kfake(t)
	broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: err, Count: n})
	return broker
}

// A client keeps the refusal for good, so that only another one writes again.
func TestARefusalToWriteEndsWithItsReason(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.UnknownServerError, kerr.ClusterAuthorizationFailed} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			j := met(t, testConfig(refusing(t, refusal, 3).ListenAddrs()), &fakeLedger{}, newApplier(nil))
			if _, err := j.put(deposit(uuid.New(), 1)); !errors.Is(err, wallet.ErrUnacknowledged) {
				t.Fatalf("got %v", err)
			}
			eventually(t, "it says that it cannot be written", func() bool { return errors.Is(j.Available(), refusal) })
			eventually(t, "it is written again", func() bool {
				_, err := j.put(deposit(uuid.New(), 1))
				return err == nil
			})
			if err := j.Available(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARefusalToWriteDeadLettersEndsWithItsReason(t *testing.T) {
	t.Parallel()
	j := met(t, testConfig(refusing(t, kerr.UnknownServerError, 1).ListenAddrs()), &fakeLedger{}, newApplier(nil))
	refused := 0
	eventually(t, "a dead letter is written", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := j.Bury(ctx, wallet.Record{Kind: wallet.KindPoison, Poison: &wallet.Poison{Err: errors.New("broken")}})
		if err != nil {
			refused++
		}
		return err == nil
	})
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// What a client was refused for is not looked for while it writes.
func TestAClientThatWritesIsKept(t *testing.T) {
	t.Parallel()
	j := met(t, testConfig(embeddedtest.Kfake(t).ListenAddrs()), &fakeLedger{}, newApplier(nil))
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
		t.Fatal(err)
	}
	w := j.writer.Load()
	client := w.client.Load()
	w.failed.Store(true) // as a record that was lost for another reason has it
	eventually(t, "it was looked at", func() bool { return !w.failed.Load() })
	if _, err := j.put(deposit(uuid.New(), 1)); err != nil || w.client.Load() != client {
		t.Errorf("%v, or written by another client", err)
	}
}
