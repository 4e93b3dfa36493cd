package embedded

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newClient(brokers []string, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(brokers...), kgo.ProducerLinger(0))...)
}

// topicID returns the id of a topic, which is made first when create is set.
func topicID(ctx context.Context, client *kgo.Client, topic string, create bool) (string, error) {
	if create {
		request := kmsg.NewPtrCreateTopicsRequest()
		request.TimeoutMillis = 10_000
		request.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: 2, ReplicationFactor: 1}}
		response, err := request.RequestWith(ctx, client)
		if err != nil || response.Topics[0].ErrorCode != 0 {
			return "", fmt.Errorf("create %s: %v %w", topic, response, err)
		}
	}
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	response, err := request.RequestWith(ctx, client)
	if err != nil || response.Topics[0].ErrorCode != 0 {
		return "", fmt.Errorf("look up %s: %v %w", topic, response, err)
	}
	return fmt.Sprintf("%x", response.Topics[0].TopicID), nil
}

// readTopic returns the values of the first n records of partition 0, by offset.
func readTopic(ctx context.Context, brokers []string, topic string, n int) ([]string, error) {
	client, err := newClient(brokers, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var values []string
	for len(values) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return values, err
		}
		for _, record := range fetches.Records() {
			if record.Offset != int64(len(values)) {
				return values, fmt.Errorf("offset %d after %d records", record.Offset, len(values))
			}
			values = append(values, string(record.Value))
		}
	}
	return values, nil
}

func produce(ctx context.Context, client *kgo.Client, topic, value string) (int64, error) {
	record, err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 0, Value: []byte(value)}).First()
	if err != nil {
		return 0, err
	}
	return record.Offset, nil
}

func TestKafkaKeepsItsDataOverPauseKillAndStop(t *testing.T) {
	ctx := testContext(t)
	config := KafkaConfig{Dir: t.TempDir(), Progress: os.Stderr}
	k, err := StartKafka(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, k)
	brokers := k.Brokers()
	client, err := newClient(brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := topicID(ctx, client, "unmade", false); err == nil {
		t.Error("a topic was made by itself")
	}
	id, err := topicID(ctx, client, "kept", true)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []func() error{
		func() error { return nil },
		func() error { k.Pause(); defer k.Resume(); return unanswered(client) },
		func() error { k.Kill(); return k.Restart(ctx) },
		func() error { return k.Restart(ctx) },
	} {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if offset, err := produce(ctx, client, "kept", fmt.Sprint(i)); err != nil || offset != int64(i) {
			t.Fatalf("step %d: offset %d, %v", i, offset, err)
		}
	}
	if values, err := readTopic(ctx, k.Brokers(), "kept", 4); err != nil || fmt.Sprint(values) != "[0 1 2 3]" {
		t.Fatalf("read %v, %v", values, err)
	}
	if now, err := topicID(ctx, client, "kept", false); err != nil || now != id || brokers[0] != k.Brokers()[0] {
		t.Fatalf("the topic %s became %s (%v), the broker %s %s", id, now, err, brokers, k.Brokers())
	}
}

// unanswered fails when the broker answers within a moment.
func unanswered(client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if client.Ping(ctx) == nil {
		return fmt.Errorf("a paused broker answered")
	}
	return nil
}
