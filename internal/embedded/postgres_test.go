package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func startTestPostgres(t *testing.T, config PostgresConfig) *Postgres {
	t.Helper()
	config.Progress = os.Stderr
	p, err := StartPostgres(testContext(t), config)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, p)
	return p
}

// unsynced is for tests that do not need the disk to be waited for.
var unsynced = map[string]string{"fsync": "off"}

func TestPostgresKeepsItsDataOverRestartKillAndStop(t *testing.T) {
	dir := t.TempDir()
	p := startTestPostgres(t, PostgresConfig{Dir: dir})
	dsn := p.DSN()
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "data_checksums": "on", "server_encoding": "UTF8", "TimeZone": "UTC",
	} {
		if got := mustQuery(t, dsn, "SHOW "+setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	mustQuery(t, dsn, "CREATE TABLE step (name text)")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"restart", func() error { return p.Restart(testContext(t)) }},
		{"kill", func() error { p.Kill(); return p.Restart(testContext(t)) }},
		{"stop", func() error { return errors.Join(p.Stop(testContext(t)), p.Restart(testContext(t))) }},
	} {
		mustQuery(t, dsn, "INSERT INTO step VALUES ('"+step.name+"')")
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	if got := mustQuery(t, dsn, "SELECT name FROM step"); got != "restart kill stop" {
		t.Fatalf("after all of it there is %q", got)
	}
}

func TestPostgresFreezesWhole(t *testing.T) {
	p := startTestPostgres(t, PostgresConfig{Dir: t.TempDir(), Settings: unsynced})
	p.Pause()
	for _, process := range processes() {
		if process.ppid == p.Pid() && !process.halted() {
			t.Errorf("process %d of the paused server is in state %c", process.pid, process.state)
		}
	}
	if err := greet(p.Port(), 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused server answered: %v", err)
	}
	p.Resume()
	mustQuery(t, p.DSN(), "SELECT 1")

	children := descendants(p.Pid())
	p.Kill()
	for _, process := range processes() {
		for _, child := range children {
			if process.pid == child && !process.dead() {
				t.Errorf("process %d survived the kill", child)
			}
		}
	}
}

// greet asks a server whether it encrypts, as clients begin, and waits so long for the answer.
func greet(port int, wait time.Duration) error {
	conn, err := net.Dial("tcp", address(port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestPostgresStopsAnOrphanFirst(t *testing.T) {
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("paused=%v", paused), func(t *testing.T) {
			dir := t.TempDir()
			orphan := startTestPostgres(t, PostgresConfig{Dir: dir, Settings: unsynced})
			mustQuery(t, orphan.DSN(), "CREATE TABLE kept AS SELECT 'here' AS value")
			if paused {
				orphan.Pause()
			}
			orphan.leaveDir() // what the death of its owner does
			p := startTestPostgres(t, PostgresConfig{Dir: dir, Settings: unsynced, Port: orphan.Port()})
			<-orphan.Exited()
			if got := mustQuery(t, p.DSN(), "SELECT value FROM kept"); got != "here" {
				t.Fatalf("got %q", got)
			}
		})
	}
}

func TestPostgresIgnoresWhatAnInterruptedStartLeft(t *testing.T) {
	dir := t.TempDir()
	half := filepath.Join(dir, initPrefix+"123", "data")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	p := startTestPostgres(t, PostgresConfig{Dir: dir, Settings: unsynced})
	if isDir(half) {
		t.Error("the half-written directory is still there")
	}
	if err := p.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	// A pid file of a killed server whose number is another process's by now, here this one's.
	stale := fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), p.dataDir())
	if err := os.WriteFile(filepath.Join(p.dataDir(), "postmaster.pid"), stale, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresRefusesDataItDoesNotKnow(t *testing.T) {
	for _, test := range []struct {
		name, file, content string
		want                error
	}{
		{"other version", "PG_VERSION", "16\n", ErrOtherVersion},
		{"half-written", "PG_VERSION", "17\n", ErrHalfWritten},
		{"something else", "notes.txt", "mine", ErrHalfWritten},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "data", test.file)
			err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(test.content), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := StartPostgres(testContext(t), PostgresConfig{Dir: dir}); !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if content, err := os.ReadFile(file); err != nil || string(content) != test.content {
				t.Fatalf("the directory was touched: %v", err)
			}
		})
	}
}

func TestPostgresRefusesAPortOrDirectoryInUse(t *testing.T) {
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dir := t.TempDir()
	config := PostgresConfig{Dir: dir, Settings: unsynced, Port: portIn(listener.Addr().String())}
	if _, err := StartPostgres(testContext(t), config); !errors.Is(err, ErrPortInUse) {
		t.Fatalf("got %v, want %v", err, ErrPortInUse)
	}
	config.Port = 0
	startTestPostgres(t, config)
	if _, err := StartPostgres(testContext(t), config); !errors.Is(err, ErrDirInUse) {
		t.Fatalf("got %v, want %v", err, ErrDirInUse)
	}
}

func TestPostgresSaysWhyItEndedWhileStarting(t *testing.T) {
	_, err := StartPostgres(testContext(t), PostgresConfig{
		Dir: t.TempDir(), Settings: map[string]string{"fsync": "off", "shared_buffers": "many"},
	})
	if err == nil || !contains(err, "shared_buffers") {
		t.Fatalf("the error does not show the server's output: %v", err)
	}
}

func TestFetchingSaysWhatToDoWithoutANetwork(t *testing.T) {
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir()) // the library leaves an empty log file there
	err = fetchPostgres(t.TempDir(), "http://"+address(ports[0]))
	if !errors.Is(err, ErrFetch) || !contains(err, "connect this machine") {
		t.Fatalf("got %v, want %v", err, ErrFetch)
	}
}
