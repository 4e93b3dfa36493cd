package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// initPrefix begins the name of a data directory that is being made. Only a complete one gets the name data, so whatever has
// this prefix while this process holds the lock is of an interrupted start, and is removed.
const initPrefix = "data.init-"

// removeAttempts is how often a leftover is removed before that counts as failed: a process may start to work in it after the
// look for such, and is found by the next.
const removeAttempts = 5

// prepareData makes the data directory unless it exists, and checks one that exists.
func (p *Postgres) prepareData(ctx context.Context) error {
	if err := p.removeInterrupted(ctx); err != nil {
		return err
	}
	switch err := os.Remove(p.dataDir()); { // succeeds on an empty directory, which is as good as none
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return p.makeData(ctx)
	default:
		return p.checkData()
	}
}

// removeInterrupted removes data directories that were never finished. The initdb that made one died with its owner, but a
// server process that it ran may be about to notice, and would write into the directory while it is removed.
func (p *Postgres) removeInterrupted(ctx context.Context) error {
	leftovers, err := filepath.Glob(filepath.Join(p.dir, initPrefix+"*"))
	for _, leftover := range leftovers {
		err = errors.Join(err, p.removeServed(ctx, leftover))
	}
	return err
}

func (p *Postgres) removeServed(ctx context.Context, work string) (err error) {
	for range removeAttempts {
		if err = p.stopOrphans(ctx, filepath.Join(work, "data")); err != nil {
			return err
		}
		if err = os.RemoveAll(work); err == nil {
			return nil
		}
	}
	return err
}

// checkData tells the data directory of a server of this version from others.
func (p *Postgres) checkData() error {
	dir := p.dataDir()
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %s belongs to another user: start as the user that made it, or remove it", ErrPermission, dir)
	}
	major := strings.TrimSpace(string(version))
	if err == nil && major != postgresMajor {
		return fmt.Errorf("%w: %s was made by PostgreSQL %s, this is %s: move it away to begin with an empty database, "+
			"or dump it with version %s first", ErrOtherVersion, dir, major, postgresMajor, major)
	}
	for _, name := range []string{"PG_VERSION", "global/pg_control", filepath.Base(p.passwordFile())} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%w: %s lacks %s: move it away (or remove it, if nothing in it is needed) and start again",
				ErrHalfWritten, dir, name)
		}
	}
	return nil
}

// passwordFile keeps the superuser's random password in the data directory, so that the two are made and lost together.
func (p *Postgres) passwordFile() string { return filepath.Join(p.dataDir(), "walletd.password") }

// makeData makes the data directory under another name and renames it when it is complete.
func (p *Postgres) makeData(ctx context.Context) error {
	end := begin(p.config.Progress, "making the database in "+p.dir)
	defer end()
	work, err := os.MkdirTemp(p.dir, initPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	password := filepath.Join(work, "password")
	err = errors.Join(os.WriteFile(password, []byte(rand.Text()), 0o600), p.run.give(password), p.run.give(work))
	if err != nil {
		return err
	}
	data := filepath.Join(work, "data")
	if err := p.initdb(ctx, data, password); err != nil {
		return err
	}
	if err := os.Rename(password, filepath.Join(data, filepath.Base(p.passwordFile()))); err != nil {
		return err
	}
	return os.Rename(data, p.dataDir())
}

// initdb makes a cluster with checksums and without a locale, then the database in it, by the server's single-user mode: no
// client is needed.
func (p *Postgres) initdb(ctx context.Context, data, password string) error {
	args := []string{
		"-D", data, "-U", postgresUser, "--pwfile=" + password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--data-checksums",
	}
	if p.config.Settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	if err := p.finish(ctx, p.command("initdb", args...)); err != nil {
		return err
	}
	create := p.command("postgres", "--single", "-D", data, "-c", "exit_on_error=true", "postgres")
	create.stdin = strings.NewReader("CREATE DATABASE " + postgresUser + "\n")
	return p.finish(ctx, create)
}

func (p *Postgres) finish(ctx context.Context, c command) error {
	child, err := startChild(c)
	if err != nil {
		return err
	}
	return child.finish(ctx)
}
