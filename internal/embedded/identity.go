//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that a child runs as. The zero value is this process's own.
type identity struct {
	uid, gid int
	caps     []uintptr // capabilities that let it search the directories of others
}

// foreign reports whether it is another user than this process's.
func (i identity) foreign() bool { return i.uid != 0 }

// unprivileged is the identity for a server that refuses to run as root: for root the owner of data if that exists, or
// nobody, else this process's own.
func unprivileged(data string) (identity, error) {
	if os.Geteuid() != 0 {
		return identity{}, nil
	}
	info, err := os.Stat(data)
	if owner, ok := ownerOf(info); err == nil && ok && owner.uid != 0 {
		return owner, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return identity{}, fmt.Errorf("PostgreSQL does not run as root, and there is no user nobody: run as an ordinary user: %w", err)
	}
	uid, uidErr := strconv.Atoi(nobody.Uid)
	gid, gidErr := strconv.Atoi(nobody.Gid)
	return identity{uid: uid, gid: gid}, errors.Join(uidErr, gidErr)
}

func ownerOf(info fs.FileInfo) (identity, bool) {
	if info == nil {
		return identity{}, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	return identity{uid: int(stat.Uid), gid: int(stat.Gid)}, true
}

// reaching returns the identity with the capability it needs to reach the path, or ErrPermission when there is none to give.
// A clone under /root is the usual case: nobody cannot search it.
func (i identity) reaching(path string) (identity, error) {
	if !i.foreign() {
		return i, nil
	}
	closed := i.closedDir(path)
	if closed == "" {
		return i, nil
	}
	if i.caps = searchCapabilities(); i.caps == nil {
		return i, fmt.Errorf("%w: PostgreSQL does not run as root, and the user %d cannot reach %s: chmod o+x %s, or use "+
			"another directory, or run as an ordinary user", ErrPermission, i.uid, path, closed)
	}
	return i, nil
}

// closedDir returns the first directory on the way up from path that the identity may not search, "" when there is none.
func (i identity) closedDir(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && !i.maySearch(info) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

func (i identity) maySearch(info fs.FileInfo) bool {
	owner, _ := ownerOf(info)
	switch mode := info.Mode().Perm(); {
	case owner.uid == i.uid:
		return mode&0o100 != 0
	case owner.gid == i.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// exec is the command line of a program that runs as the identity. Capabilities take effect only when a program has been
// executed, so the way to this one has to be searched by another: a shell that gives way to it.
func (i identity) exec(path string, args []string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	if i.caps != nil {
		cmd = exec.Command("/bin/sh", append([]string{"-c", `exec "$0" "$@"`, path}, args...)...)
	}
	cmd.Dir = "/" // every path is absolute, and this one can be entered
	return cmd
}

// give makes the identity the owner of a new file or directory.
func (i identity) give(path string) error {
	if !i.foreign() {
		return nil
	}
	return os.Chown(path, i.uid, i.gid)
}
