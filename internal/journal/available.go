package journal

import (
	"errors"
	"fmt"
)

// Why a journal cannot be written, besides that its brokers do not answer.
var (
	ErrNotMet  = errors.New("the topic is not known yet, or is not the one the ledger follows")
	ErrStalled = errors.New("a partition does not acknowledge")
	ErrHeld    = errors.New("a partition is not written")
)

// Available reports whether records can be written now, to every partition; if not, why.
func (j *Journal) Available() error {
	w, err := j.met()
	if err != nil {
		return err
	}
	for _, p := range w.writers {
		if err := p.available(); err != nil {
			return err
		}
	}
	return nil
}

// Writable reports whether this replica can write the partitions that anybody can. Those
// that have lost their ends, or whose topic is doubted, nobody can: they do not count, unless
// it is so with all.
func (j *Journal) Writable() bool {
	w, err := j.met()
	if err != nil {
		return false
	}
	writable := 0
	for _, p := range w.writers {
		switch held, stalled := p.obstacle(); {
		case held == holdLost || held == holdRecovering || held == holdForeign:
		case stalled:
			return false
		default:
			writable++
		}
	}
	return writable > 0
}

// met returns how to write, or why nothing at all can be written.
func (j *Journal) met() (*topicWriter, error) {
	w := j.writer.Load()
	switch {
	case w == nil:
		return nil, ErrNotMet
	case j.brokers.Err() != nil:
		return nil, fmt.Errorf("the brokers do not answer: %w", j.brokers.Err())
	}
	if why := w.refused.Load(); why != nil {
		return nil, fmt.Errorf("the brokers do not let it be written: %w", *why)
	}
	return w, nil
}

func (p *partitionWriter) available() error {
	switch held, stalled := p.obstacle(); {
	case held != "":
		return fmt.Errorf("%w: %d: %s", ErrHeld, p.partition, held)
	case stalled:
		return fmt.Errorf("%w: %d", ErrStalled, p.partition)
	}
	return nil
}
