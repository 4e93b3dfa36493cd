package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// server is the life of one child process on one directory and port; the real servers embed it. Its methods may be called
// from several goroutines.
type server struct {
	name   string
	dir    string
	log    *slog.Logger
	launch func(context.Context) (*child, error) // starts the process and returns it ready

	mu    sync.Mutex
	lock  *fileLock // of dir, held from start to stop
	child *child    // nil before the first start
}

// init names the server and makes its directory.
func (s *server) init(name, dir string, log *slog.Logger) (err error) {
	if s.log = log; log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if dir == "" {
		return fmt.Errorf("%s needs a directory", name)
	}
	s.name = name
	if s.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	return explain(os.MkdirAll(s.dir, 0o755), s.dir)
}

// open takes the directory's lock, prepares what is in it, and starts the process.
func (s *server) open(ctx context.Context, prepare func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.takeDir(); err != nil {
		return err
	}
	err := prepare(ctx)
	if err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		s.leaveDir()
		return explain(err, s.dir)
	}
	return nil
}

func (s *server) start(ctx context.Context) error {
	child, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.child = child
	s.log.Debug("started", "component", s.name, "pid", child.pid(), "log", child.logPath)
	return nil
}

// onPort starts the process on its port. Without one it takes a free port, and another if that one is snatched away.
func (s *server) onPort(port *int, start func(port int) (*child, error)) (*child, error) {
	if *port != 0 {
		if err := checkPort(s.name, *port); err != nil {
			return nil, err
		}
		return start(*port)
	}
	return onFreePorts(1, func(ports []int) (*child, error) {
		child, err := start(ports[0])
		if err == nil {
			*port = ports[0]
		}
		return child, err
	})
}

func (s *server) takeDir() (err error) {
	if s.lock == nil {
		s.lock, err = tryLock(filepath.Join(s.dir, "lock"))
	}
	return err
}

func (s *server) leaveDir() {
	s.lock.release()
	s.lock = nil
}

// Stop stops the server in order and waits for its end. When ctx is done first (or half a minute has passed) the server is
// killed and the error says so. Stopping again, or what has ended by itself, is no error.
func (s *server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.leaveDir()
	return s.halt(ctx)
}

func (s *server) halt(ctx context.Context) error {
	if s.child == nil || s.child.ended() {
		return nil
	}
	return s.child.halt(ctx, s.log)
}

// Kill ends the server and all its children with SIGKILL, as a crash would, and returns when they are gone. Restart starts it
// again; Stop still has to be called in the end.
func (s *server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child.kill()
}

// Pause freezes the server and all its children (SIGSTOP): connections stay open and answer nothing. When it returns, none of
// them runs.
func (s *server) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child.pause()
}

// Resume lets a paused server run on.
func (s *server) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child.resume()
}

// Restart stops the server if it runs and starts it again with the same data, settings and port. It returns when the server
// is ready, with the errors of a start.
func (s *server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.halt(ctx); err != nil {
		return err
	}
	if err := s.takeDir(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return nil
}

// Pid is the process id of the server (PostgreSQL's is the postmaster); a restart changes it.
func (s *server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.pid()
}

// Exited is closed when the process that runs now has ended, for whatever reason.
func (s *server) Exited() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.done
}

// LogPath is the file with the server's output.
func (s *server) LogPath() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.logPath
}
