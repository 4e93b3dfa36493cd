package journal

import (
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that does not know the topic yet has not said where the journal ends: the
// receipt of an acknowledged record is not beyond it.
func TestTheEndOfATopicThatABrokerDoesNotKnowIsNotKnown(t *testing.T) {
	broker, _, j := metFour(t)
	r, err := j.put(deposit(uuid.New(), 5))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	broker.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		asked.Add(1)
		return unknownTopics(req.(*kmsg.MetadataRequest)), nil, true
	})
	eventually(t, "the broker is asked", func() bool {
		if there, err := j.Reaches(t.Context(), r); err == nil && !there {
			t.Fatalf("the end is before a record at %s", r)
		}
		return asked.Load() > 1
	})
}

func unknownTopics(m *kmsg.MetadataRequest) kmsg.Response {
	answer := m.ResponseKind().(*kmsg.MetadataResponse)
	for _, asked := range m.Topics {
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.TopicID, topic.ErrorCode = asked.Topic, asked.TopicID, kerr.UnknownTopicOrPartition.Code
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}
