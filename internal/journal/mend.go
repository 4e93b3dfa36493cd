package journal

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mend replaces the clients that cannot write any more. A client first asks for a producer
// id. If that is refused for good, as it is to a user who may not write yet, the client
// keeps the refusal and fails every record with it, also when the user may write by now.
// And a client that has once heard of another topic of that name never writes either again.
// Only the meeting calls mend.
func (j *Journal) mend() {
	if w := j.writer.Load(); w != nil && w.failed.Swap(false) {
		j.mendWriter(w)
	}
	if j.lettersFailed.Swap(false) && (j.lettersTopicUnknown.Swap(false) || j.refusal(j.letters.Load()) != nil) {
		j.mendLetters()
	}
}

func (j *Journal) mendWriter(w *topicWriter) {
	why := j.refusal(w.client.Load())
	if why == nil {
		w.refused.Store(nil)
	}
	switch {
	case why != nil:
		w.refused.Store(&why)
	case w.topicUnknown.Load() && j.allTellOf(w.topic.ID):
		why = kerr.UnknownTopicID
	case w.topicUnknown.Load():
		w.failed.Store(true) // look again
		return
	default:
		return // it was another reason
	}
	w.failed.Store(true) // look again, unless it is replaced now
	fresh, err := kgo.NewClient(producerOptions(j.config)...)
	if err != nil {
		return
	}
	if j.refusal(fresh) != nil {
		fresh.Close()
		return
	}
	w.replaceClient(fresh)
	j.config.Log.Warn("the journal is written with a new client; the last one could not write any more", "error", why)
}

// replaceClient ends the flush under way, if there is one: what it has not acknowledged by then
// may or may not get into the topic.
func (w *topicWriter) replaceClient(fresh *kgo.Client) {
	w.client.Swap(fresh).Close()
	w.failed.Store(false)
	w.topicUnknown.Store(false)
	w.refused.Store(nil)
}

// allTellOf reports whether most brokers answer, and all of those tell of this topic: a client
// keeps to the first that it hears of.
func (j *Journal) allTellOf(topic uuid.UUID) bool {
	n := j.askLeaders(j.ctx, j.config.Topic)
	return n.majority && n.topics[topic] && !n.isDoubted(topic)
}

func (j *Journal) mendLetters() {
	fresh, err := deadLetterClient(j.config)
	if err != nil {
		j.lettersFailed.Store(true)
		return
	}
	j.letters.Swap(fresh).Close()
}

// refusal is why a client will never write, nil if it may.
func (j *Journal) refusal(client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(j.ctx, j.config.RequestTimeout)
	defer cancel()
	_, _, err := client.ProducerID(ctx)
	var said *kerr.Error
	if errors.As(err, &said) && !said.Retriable {
		return err
	}
	return nil
}
