package embedded

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pingTimeout bounds one question whether Redis is ready.
const pingTimeout = time.Second

// RedisConfig says how a Redis server is started; only Dir is required.
type RedisConfig struct {
	Dir      string            // keeps log and lock of this server
	Port     int               // 0 takes a free one
	Settings map[string]string // of redis.conf, over ours
	Progress io.Writer         // told what takes long; nil for silence
}

// Redis is a running redis-server: a child process that listens on loopback only and keeps nothing over a restart.
type Redis struct {
	server
	config RedisConfig
}

// StartRedis starts a Redis server and returns when it answers. The program is installed when this process is root on a Debian
// system, else its absence is ErrMissing with the package's name. Other errors wrap ErrPortInUse or ErrDirInUse where that is
// the reason. The caller stops the server.
func StartRedis(ctx context.Context, config RedisConfig) (*Redis, error) {
	r := &Redis{config: config}
	if err := r.init("Redis", config.Dir, nil); err != nil {
		return nil, err
	}
	r.launch = r.launchOnPort
	err := r.open(ctx, func(ctx context.Context) error {
		return ensurePrograms(ctx, config.Progress, []program{{"redis-server", "redis-server"}})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Addr is the address to connect to, host:port; it stays the same over restarts.
func (r *Redis) Addr() string { return address(r.config.Port) }

func (r *Redis) launchOnPort(ctx context.Context) (*child, error) {
	return r.onPort(&r.config.Port, func(port int) (*child, error) { return r.launchServer(ctx, port) })
}

func (r *Redis) launchServer(ctx context.Context, port int) (*child, error) {
	args := []string{
		"--port", strconv.Itoa(port), "--bind", loopback, "--dir", r.dir, "--daemonize", "no", "--save", "", "--appendonly", "no",
	}
	for _, name := range slices.Sorted(maps.Keys(r.config.Settings)) {
		args = append(args, "--"+name, r.config.Settings[name])
	}
	child, err := startChild(command{
		name:    r.name,
		path:    "redis-server",
		args:    args,
		dir:     r.dir,
		env:     []string{"LC_ALL=C"},
		logPath: filepath.Join(r.dir, "redis.log"),
		stop:    syscall.SIGTERM,
		orphan:  syscall.SIGKILL,
	})
	if err != nil {
		return nil, err
	}
	return child, child.await(ctx, func() bool { return ping(port) })
}

// ping reports whether a Redis server answers on the port.
func ping(port int) bool {
	conn, err := net.DialTimeout("tcp", address(port), pingTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(pingTimeout))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(answer, "+PONG")
}
