//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 50 * time.Millisecond

// fileLock is an exclusive lock that the kernel releases when its process dies, however that happens. The file stays: to
// remove it would let two processes hold locks on two files of one name.
type fileLock struct{ file *os.File }

// tryLock takes the lock or returns ErrDirInUse at once.
func tryLock(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %s belongs to another user: start as that user, or use another directory: %w",
			ErrPermission, filepath.Dir(path), err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &fileLock{file}, noteOwner(file)
	}
	defer file.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	owner, _ := io.ReadAll(io.LimitReader(file, 32))
	return nil, fmt.Errorf("%w: %s is used by the process %s: stop that one first, or use another directory",
		ErrDirInUse, filepath.Dir(path), strings.TrimSpace(string(owner)))
}

// waitLock takes the lock, waiting until ctx is done for another process to release it.
func waitLock(ctx context.Context, path string) (*fileLock, error) {
	ticker := time.NewTicker(lockRetry)
	defer ticker.Stop()
	for {
		lock, err := tryLock(path)
		if !errors.Is(err, ErrDirInUse) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// noteOwner writes this process's id into the lock file, for the message of who finds it locked.
func noteOwner(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// release gives the lock up; a nil lock is released already.
func (l *fileLock) release() {
	if l != nil {
		l.file.Close()
	}
}
