package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/walletd/walletd/internal/embedded"
)

// archived is a stack whose PostgreSQL archives its write-ahead log, as
// docs/operations.md says, and can be restored to a point in time.
type archived struct {
	*stack
	dir string // of the server, with base, archive and data
}

func newArchived(t *testing.T) *archived {
	t.Helper()
	dir := filepath.Join(world.dir, "archived-"+strings.ReplaceAll(t.Name(), "/", "-"))
	archive := filepath.Join(dir, "archive")
	if err := os.MkdirAll(archive, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(archive, 0o777); err != nil { // the server may run as somebody else
		t.Fatal(err)
	}
	postgres := must[*embedded.Postgres](t)(kept(embedded.StartPostgres(context.Background(), embedded.PostgresConfig{
		Dir: dir, Progress: os.Stderr, Settings: map[string]string{
			"fsync": "off", "max_connections": "200", "wal_level": "replica", "archive_mode": "on",
			// A file has its name only when it is whole: this may be killed at any time.
			"archive_command": "cp %p " + archive + "/%f.part && mv " + archive + "/%f.part " + archive + "/%f",
		},
	})))
	redis := must[*embedded.Redis](t)(kept(embedded.StartRedis(context.Background(), embedded.RedisConfig{Dir: filepath.Join(dir, "redis"), Progress: os.Stderr})))
	return &archived{newStackOn(t, postgres, redis, must[*embedded.Kafka](t)(world.kafka())), dir}
}

// backUp takes a base backup of the server at work: what pg_basebackup does, by
// PostgreSQL's own functions.
func (a *archived) backUp() {
	a.t.Helper()
	ctx := context.Background()
	conn := must[*pgx.Conn](a.t)(pgx.Connect(ctx, a.postgres.DSN()))
	defer conn.Close(ctx)
	var label, spaces string
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start('drill', true)"); err != nil {
		a.t.Fatal(err)
	}
	a.run("cp", "-a", filepath.Join(a.dir, "data"), filepath.Join(a.dir, "base"))
	if err := conn.QueryRow(ctx, "SELECT labelfile, spcmapfile FROM pg_backup_stop()").Scan(&label, &spaces); err != nil {
		a.t.Fatal(err)
	}
	a.write("backup_label", label)
	a.write("recovery.signal", "")
	a.run("sh", "-c", "cd "+filepath.Join(a.dir, "base")+" && rm -rf postmaster.pid postmaster.opts pg_wal/*")
	a.run("mkdir", filepath.Join(a.dir, "base", "pg_wal", "archive_status"))
	a.run("chown", "-R", "--reference="+filepath.Join(a.dir, "data"), filepath.Join(a.dir, "base"))
}

func (a *archived) write(name, content string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, "base", name), []byte(content), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// run runs a program; cp ends with 1 when a file vanished under it, which a backup
// of a server at work has to bear.
func (a *archived) run(name string, args ...string) {
	a.t.Helper()
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil && !strings.Contains(string(output), "No such file") {
		a.t.Fatalf("%s: %v: %s", name, err, output)
	}
}

// mark makes a restore point and waits until it is in the archive.
func (a *archived) mark(point string) {
	a.t.Helper()
	a.exec(a.postgres.DSN(), fmt.Sprintf("SELECT pg_create_restore_point('%s')", point))
	a.archiveAll()
}

func (a *archived) archiveAll() {
	a.t.Helper()
	ctx := context.Background()
	conn := must[*pgx.Conn](a.t)(pgx.Connect(ctx, a.postgres.DSN()))
	defer conn.Close(ctx)
	var file string
	if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&file); err != nil {
		a.t.Fatal(err)
	}
	eventually(a.t, "the write-ahead log is archived", func() bool {
		_, err := os.Stat(filepath.Join(a.dir, "archive", file))
		return err == nil
	})
}

// lose stops walletd, destroys the ledger, and brings it back as it was at a restore
// point. Redis is emptied: it may know what the restored ledger does not. walletd
// is not started.
func (a *archived) lose(point string) {
	a.t.Helper()
	for _, r := range a.replicas {
		r.terminate()
	}
	a.replicas = nil
	a.postgres.Kill()
	if err := a.postgres.Stop(context.Background()); err != nil {
		a.t.Fatal(err)
	}
	restored := filepath.Join(a.dir, "restored")
	a.run("mkdir", restored)
	a.run("mv", filepath.Join(a.dir, "base"), filepath.Join(restored, "data"))
	a.run("rm", "-rf", filepath.Join(a.dir, "data"))
	a.postgres = must[*embedded.Postgres](a.t)(kept(embedded.StartPostgres(context.Background(), embedded.PostgresConfig{
		Dir: restored, Progress: os.Stderr, Settings: map[string]string{
			"max_connections": "200", "fsync": "off", "wal_level": "replica",
			"restore_command":      "cp " + filepath.Join(a.dir, "archive") + "/%f %p",
			"recovery_target_name": point, "recovery_target_action": "promote",
		},
	})))
	eventually(a.t, "the ledger takes writes", func() bool { return a.count("SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END") == 0 })
	if err := a.redis.Restart(context.Background()); err != nil {
		a.t.Fatal(err)
	}
}
