package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// command runs one of the server's programs on the data directory with an environment of its own: variables such as PGDATA
// or a foreign locale do not reach it.
func (p *Postgres) command(program string, args ...string) command {
	return command{
		name:    p.name,
		path:    p.binary(program),
		args:    args,
		dir:     p.dir,
		env:     []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"},
		run:     p.run,
		logPath: filepath.Join(p.dir, "postgres.log"),
		stop:    syscall.SIGINT,  // fast shutdown: open transactions are rolled back
		orphan:  syscall.SIGQUIT, // immediate shutdown: the postmaster takes its children along
	}
}

func (p *Postgres) arguments(port int) []string {
	args := []string{"-D", p.dataDir(), "-c", "port=" + strconv.Itoa(port), "-c", "listen_addresses=" + loopback, "-c", "unix_socket_directories="}
	for name, value := range p.config.Settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// ready reports whether the postmaster says so in its pid file, as pg_ctl reads it: line 1 is its pid, line 8 its status.
func (p *Postgres) ready(pid int) bool {
	lines := readLines(filepath.Join(p.dataDir(), "postmaster.pid"))
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) && lines[7] == "ready"
}

func readLines(path string) []string {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	lines := strings.Split(string(content), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}
