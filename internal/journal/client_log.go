package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sayAgain is how often the log has the same of what repeats for as long as a broker is
// away.
const sayAgain = time.Minute

// seldom tells whether it is time to say something again. Safe for concurrent use.
type seldom struct {
	mu   sync.Mutex
	said map[string]time.Time
}

func (s *seldom) may(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.said[what]; ok && time.Since(last) < sayAgain {
		return false
	}
	if s.said == nil {
		s.said = map[string]time.Time{}
	}
	s.said[what] = time.Now()
	return true
}

// clientLog passes the Kafka client's warnings on. Its errors repeat for as long
// as a broker is away, so they too are warnings, and said seldom.
type clientLog struct {
	log    *slog.Logger
	seldom *seldom
}

// Level implements kgo.Logger.
func (l clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	if level == kgo.LogLevelError && l.seldom.may(msg) {
		to = slog.LevelWarn
	}
	l.log.Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}
