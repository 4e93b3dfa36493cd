//go:build chaos

package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// diskBytes is the size of the disk that holds the ledger's tables; its WAL is on
// the machine's own.
const diskBytes = "1g"

// disk holds the ledger's tables. As root it is a small file system of its own, which
// can be filled.
type disk struct {
	dir   string
	small bool
}

func newDisk(t testing.TB) *disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "walletd-chaos-disk-")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o711) // the server may be another user
	}
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{dir: filepath.Join(dir, "tables"), small: os.Geteuid() == 0}
	if d.small {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskBytes); err != nil {
			t.Fatalf("a small disk: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
		})
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// give makes the disk belong to who owns like.
func (d *disk) give(t testing.TB, like string) {
	t.Helper()
	info, err := os.Stat(like)
	if err == nil {
		s := info.Sys().(*syscall.Stat_t)
		err = os.Chown(d.dir, int(s.Uid), int(s.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (d *disk) filler() string { return filepath.Join(filepath.Dir(d.dir), "filler") }

// fill leaves nothing free.
func (d *disk) fill() error {
	if !d.small {
		return errors.New("only root can have a disk to fill")
	}
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	for step, at := int64(64<<20), int64(0); step >= 4096; {
		if err := unix.Fallocate(int(f.Fd()), 0, at, step); err == nil {
			at += step
		} else if !errors.Is(err, unix.ENOSPC) {
			return err
		} else {
			step /= 2
		}
	}
	return nil
}

// free undoes fill.
func (d *disk) free() error {
	if err := os.Remove(d.filler()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
