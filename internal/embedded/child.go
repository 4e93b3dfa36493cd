package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	readyPoll    = 10 * time.Millisecond // how often a starting server is asked whether it is ready
	startTimeout = 90 * time.Second      // for a server to become ready, recovery after a crash included
	stopTimeout  = 30 * time.Second      // for a server to stop before it is killed
	logTailBytes = 4 << 10               // of a server's output shown in an error
	maxLogBytes  = 16 << 20              // of a log file before it is set aside once
)

// command says how a child process is started and stopped.
type command struct {
	name    string // for messages
	path    string
	args    []string
	dir     string // that it works in, for messages
	env     []string
	stdin   io.Reader
	run     identity
	logPath string
	stop    syscall.Signal // asks it to stop in order
	orphan  syscall.Signal // what the kernel sends it when this process dies
}

// child is a running process with a process group of its own, so that a ctrl-C meant for this process leaves it alone.
type child struct {
	command
	cmd      *exec.Cmd
	logStart int64 // where this run's output begins in the log file
	done     chan struct{}
	err      error // of the process; read after done
}

// startChild starts the process. The goroutine that waits for it also owns the thread that started it: the kernel sends the
// orphan signal when that thread ends, which is then when the process has, or when this whole process dies.
func startChild(c command) (*child, error) {
	log, offset, err := openLog(c.logPath)
	if err != nil {
		return nil, explain(err, c.dir)
	}
	defer log.Close()
	ch := &child{command: c, logStart: offset, done: make(chan struct{})}
	ch.cmd = c.run.exec(c.path, c.args)
	ch.cmd.Env, ch.cmd.Stdin, ch.cmd.Stdout, ch.cmd.Stderr = c.env, c.stdin, log, log
	ch.cmd.SysProcAttr = c.run.attributes(c.orphan)
	started := make(chan error)
	go ch.own(started)
	if err := <-started; err != nil {
		return nil, startError(c, err)
	}
	return ch, nil
}

func (c *child) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	c.err = c.cmd.Wait()
	close(c.done)
}

func startError(c command, err error) error {
	if errors.Is(err, os.ErrPermission) && c.run.foreign() {
		return fmt.Errorf("%w: %s cannot be started as the user %d: make the directories above %s and %s searchable "+
			"(chmod o+x), or run as an ordinary user: %w", ErrPermission, c.name, c.run.uid, c.path, c.dir, err)
	}
	return explain(fmt.Errorf("start %s: %w", c.name, err), c.dir)
}

// await returns when ready says so. It fails when the process ends, ctx is done or startTimeout has passed; the process is
// killed then, and the error shows its last output.
func (c *child) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-c.done:
			return c.failure(fmt.Errorf("%s ended while starting: %w", c.name, c.exit()))
		case <-ctx.Done():
			c.kill()
			return c.failure(fmt.Errorf("start %s: %w", c.name, context.Cause(ctx)))
		case <-ticker.C:
		}
	}
	return nil
}

// exit is the reason why the process ended, also when it called that a success.
func (c *child) exit() error {
	if c.err == nil {
		return errors.New("exit status 0")
	}
	return c.err
}

// finish waits for a process that is to end by itself; it is killed when ctx is done.
func (c *child) finish(ctx context.Context) error {
	select {
	case <-c.done:
	case <-ctx.Done():
		c.kill()
		return fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
	}
	if c.err != nil {
		return c.failure(fmt.Errorf("%s: %w", c.name, c.err))
	}
	return nil
}

// halt asks the process to stop and waits for its end, and for its children's. When ctx is done or stopTimeout has passed
// it is killed, which the error says.
func (c *child) halt(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, fmt.Errorf("did not stop within %s", stopTimeout))
	defer cancel()
	c.resume()
	c.signal(c.command.stop)
	select {
	case <-c.done:
		log.Debug("stopped", "component", c.name, "pid", c.pid())
		return nil
	case <-ctx.Done():
		c.kill()
		return fmt.Errorf("%s was killed: %w", c.name, context.Cause(ctx))
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// signal reaches the process only, and nothing when it has ended: os.Process knows, so a reused pid is never hit.
func (c *child) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
