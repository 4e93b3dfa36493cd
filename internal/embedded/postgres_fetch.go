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
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const (
	postgresVersion = embeddedpostgres.V17
	fetchTimeout    = 10 * time.Minute // for one download
)

// systemCache holds the programs that root's own cache would hide from the user they run as.
const systemCache = "/var/cache/walletd"

// postgresBinaries returns the directory with bin/postgres and bin/initdb, fetched when the cache does not have it. Root's
// home is usually closed to others, and PostgreSQL's programs look for each other with access(2), which no capability helps:
// they are kept in systemCache then.
func postgresBinaries(ctx context.Context, progress io.Writer, run identity) (string, error) {
	cache, err := cacheDir("")
	if err != nil {
		return "", err
	}
	name := "postgres-" + string(postgresVersion)
	if run.foreign() && run.closedDir(filepath.Join(cache, name, "bin")) != "" {
		if cache, err = openSystemCache(); err != nil {
			return "", err
		}
	}
	return cached(ctx, cache, name, func(dir string) error {
		end := begin(progress, "fetching PostgreSQL "+postgresMajor+" (15 MB, once)")
		defer end()
		return fetchWithin(ctx, func() error { return fetchPostgres(dir, "") })
	})
}

func openSystemCache() (string, error) {
	dir, err := cacheDir(systemCache)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// fetchWithin runs a fetch that cannot be cancelled and gives up waiting for it when ctx is done or fetchTimeout has passed.
// Given up, the fetch ends by itself later and finds its directory gone.
func fetchWithin(ctx context.Context, fetch func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, fmt.Errorf("no answer within %s", fetchTimeout))
	defer cancel()
	result := make(chan error, 1)
	go func() {
		defer func() { // the library panics when a directory it cleans up is gone
			if reason := recover(); reason != nil {
				result <- fmt.Errorf("%w: %v", ErrFetch, reason)
			}
		}()
		result <- fetch()
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: PostgreSQL %s: %w", ErrFetch, postgresMajor, context.Cause(ctx))
	}
}

// fetchPostgres downloads the server with its checksum from a Maven repository ("": the public one) and unpacks it into dir.
//
// The library has no call that only fetches; its Start fetches, unpacks, and then empties the data directory. A data directory
// whose name ends in "/." cannot be emptied (RemoveAll refuses such names before it touches anything), so Start always ends
// there: nothing is started, and that very error is the sign of success.
func fetchPostgres(dir, repository string) error {
	config := embeddedpostgres.DefaultConfig().Version(postgresVersion).Port(0).Logger(io.Discard).
		CachePath(filepath.Join(dir, "archive")).RuntimePath(filepath.Join(dir, "unpacked")).
		DataPath(filepath.Join(dir, "none") + "/.")
	if repository != "" {
		config = config.BinaryRepositoryURL(repository)
	}
	err := embeddedpostgres.NewDatabase(config).Start()
	if err == nil || !strings.HasPrefix(err.Error(), "unable to clean up data directory") {
		return fetchError(err, dir)
	}
	return errors.Join(os.RemoveAll(filepath.Join(dir, "archive")), flatten(dir), openToAll(dir))
}

func fetchError(err error, dir string) error {
	if full := explain(err, dir); errors.Is(full, ErrNoSpace) {
		return full
	}
	return fmt.Errorf("%w: PostgreSQL %s is fetched once, at the first start: connect this machine to the Internet (a proxy is "+
		"taken from HTTPS_PROXY) and start again: %w", ErrFetch, postgresMajor, err)
}

// flatten moves what was unpacked to the directory itself.
func flatten(dir string) error {
	unpacked := filepath.Join(dir, "unpacked")
	entries, err := os.ReadDir(unpacked)
	for _, entry := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(unpacked, entry.Name()), filepath.Join(dir, entry.Name())))
	}
	return errors.Join(err, os.Remove(unpacked))
}

// openToAll lets every user read and run what is in dir, whatever the umask was: root's programs run as another user.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		owner := info.Mode().Perm() & 0o500 // what the owner may read and run
		return os.Chmod(path, info.Mode().Perm()|owner>>3|owner>>6)
	})
}
