package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// clearRemains stops what a killed parent left running on the data directory, and removes the pid file of a server that is
// gone: its number may be another program's by now, and PostgreSQL would then refuse to start. This process holds the
// directory's lock, so none of them has an owner any more.
func (p *Postgres) clearRemains(ctx context.Context) error {
	if err := p.stopOrphans(ctx, p.dataDir()); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(p.dataDir(), "postmaster.pid"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// stopOrphans asks the server processes in dir to stop at once (a postmaster takes its children along), then kills what is
// left. Committed data are safe either way; the next start recovers.
func (p *Postgres) stopOrphans(ctx context.Context, dir string) error {
	pids := serversIn("postgres", dir)
	for _, s := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		if len(pids) == 0 || ctx.Err() != nil {
			break
		}
		p.log.Warn("stopping processes without owner", "component", p.name, "pids", pids, "signal", s)
		for _, pid := range pids {
			_ = syscall.Kill(pid, s)
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have been paused
		}
		settle(pids, process.dead)
		pids = serversIn("postgres", dir)
	}
	if len(pids) > 0 {
		return fmt.Errorf("%w: the processes %v still run in %s: stop them and start again", ErrDirInUse, pids, dir)
	}
	return nil
}
