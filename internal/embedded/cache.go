package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// cached returns the directory name in cache, filled by fill when it is not there yet. fill works on a sibling that gets its
// name when it is complete, under a lock that other processes wait for: a half-filled directory is never taken for a whole.
func cached(ctx context.Context, cache, name string, fill func(dir string) error) (string, error) {
	cache, err := cacheDir(cache)
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, name)
	if isDir(final) {
		return final, nil
	}
	lock, err := waitLock(ctx, final+".lock")
	if err != nil {
		return "", err
	}
	defer lock.release()
	if isDir(final) { // another process filled it while this one waited
		return final, nil
	}
	return final, explain(fillAndRename(final, fill), cache)
}

// cacheDir makes the directory; "" is walletd/ in the user's cache directory (XDG_CACHE_HOME is honoured).
func cacheDir(cache string) (dir string, err error) {
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no cache directory, set XDG_CACHE_HOME to an absolute path: %w", err)
		}
		cache = filepath.Join(user, "walletd")
	}
	if dir, err = filepath.Abs(cache); err != nil {
		return "", err
	}
	err = os.MkdirAll(dir, 0o755)
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("%w: programs cannot be kept in %s: set XDG_CACHE_HOME to a directory of yours: %w", ErrPermission, dir, err)
	}
	return dir, explain(err, dir)
}

func fillAndRename(final string, fill func(dir string) error) error {
	if err := removeMatching(final + ".new-*"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(final), filepath.Base(final)+".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), fill(dir)); err != nil {
		return err
	}
	return os.Rename(dir, final)
}

// removeMatching removes what an interrupted run left; the caller holds the lock that makes it a leftover.
func removeMatching(pattern string) error {
	leftovers, err := filepath.Glob(pattern)
	for _, leftover := range leftovers {
		err = errors.Join(err, os.RemoveAll(leftover))
	}
	return err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
