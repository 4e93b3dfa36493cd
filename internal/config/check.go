package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/walletd/walletd/internal/wallet"
)

// parseFaults names the variable of each fault and never quotes its value.
func parseFaults(err error) (faults []error) {
	if err == nil {
		return nil
	}
	names := variables(reflect.TypeFor[Config](), "")
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	for _, e := range all.Errors {
		var parse env.ParseError
		var unset env.VarIsNotSetError
		var empty env.EmptyVarError
		switch {
		case errors.As(e, &parse):
			faults = append(faults, fmt.Errorf("%s: must be %s", names[parse.Name], inWords(parse.Type)))
		case errors.As(e, &unset):
			faults = append(faults, fmt.Errorf("%s: is missing", unset.Key))
		case errors.As(e, &empty):
			faults = append(faults, fmt.Errorf("%s: is empty", empty.Key))
		default:
			faults = append(faults, e)
		}
	}
	return faults
}

// inWords is what a variable of the type has to be.
func inWords(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration, as 500ms or 2s"
	case reflect.TypeFor[slog.Level]():
		return "debug, info, warn or error"
	case reflect.TypeFor[int](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64]():
		return "an integer that is not too large"
	}
	return "a " + t.String()
}

// variables maps the fields of a configuration struct to their variables.
func variables(t reflect.Type, prefix string) map[string]string {
	names := map[string]string{}
	for f := range t.Fields() {
		if p, ok := f.Tag.Lookup("envPrefix"); ok {
			maps.Copy(names, variables(f.Type, p))
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		names[f.Name] = prefix + name
	}
	return names
}

func mentioned(faults []error, name string) bool {
	return slices.ContainsFunc(faults, func(f error) bool { return variableOf(f) == name })
}

// check finds what parses and cannot be right.
func (c *Config) check() (faults []error) {
	fault := func(ok bool, variable, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s", variable, what))
		}
	}
	for name, address := range map[string]string{"WALLETD_HTTP_ADDRESS": c.HTTPAddress, "WALLETD_PPROF_ADDRESS": c.PprofAddress, "WALLETD_METRICS_ADDRESS": c.MetricsAddress, "WALLETD_REDIS_ADDRESS": c.Redis.Address} {
		fault(hostPort(address), name, "must be host:port")
	}
	for _, b := range c.Kafka.Brokers {
		fault(hostPort(b), "WALLETD_KAFKA_BROKERS", "must be host:port, separated by commas")
	}
	fault(c.Wait >= 0 && c.Wait <= wallet.MaxWait, "WALLETD_WAIT", "must be 0s to 30s")
	fault(isBodyBound(c.BodyBytes), "WALLETD_BODY_BYTES", bodyBounds)
	fault(isBodyBound(c.BulkBytes), "WALLETD_BULK_BYTES", bodyBounds)
	fault(c.WalletOperations >= 1, "WALLETD_WALLET_REQUESTS", "must be at least 1")
	fault(c.Operations >= c.WalletOperations, "WALLETD_REQUESTS", "must be at least WALLETD_WALLET_REQUESTS")
	fault(c.Connections >= 1, "WALLETD_CONNECTIONS", "must be at least 1")
	fault(slices.Equal(c.CORSOrigins, []string{"*"}) || !slices.ContainsFunc(c.CORSOrigins, func(o string) bool { return !isOrigin(o) }),
		"WALLETD_CORS_ORIGINS", "must be *, or scheme://host[:port] as browsers send it (no slash at the end), separated by commas")
	fault(c.ShutdownDelay >= 0, "WALLETD_SHUTDOWN_DELAY", "must not be negative")
	fault(c.ShutdownTimeout > 0, "WALLETD_SHUTDOWN_TIMEOUT", "must be positive")
	fault(c.LogFormat == "text" || c.LogFormat == "json", "WALLETD_LOG_FORMAT", "must be text or json")
	faults = append(faults, c.checkComponents()...)
	return faults
}

// Bounds of what a body may be allowed: all long ones share 64 MiB, and one that is longer
// than a share of that might never be read.
const (
	minBodyBytes = 1 << 10
	maxBodyBytes = 16 << 20
)

var bodyBounds = fmt.Sprintf("must be from %d to %d", minBodyBytes, maxBodyBytes)

func isBodyBound(n int64) bool { return minBodyBytes <= n && n <= maxBodyBytes }

func (c *Config) checkComponents() (faults []error) {
	fault := func(ok bool, variable, what string) {
		if !ok {
			faults = append(faults, fmt.Errorf("WALLETD_%s: %s", variable, what))
		}
	}
	p, k, r := c.Postgres, c.Kafka, c.Redis
	fault(isHost(p.Host), "POSTGRES_HOST", "must be one host, without port or brackets; put several behind one address")
	fault(p.Port > 0 && p.Port < 65536, "POSTGRES_PORT", "must be 1 to 65535")
	fault(slices.Contains(sslModes, p.SSLMode), "POSTGRES_SSLMODE", "must be one of "+strings.Join(sslModes, ", "))
	fault(p.CommitConnections >= 2, "POSTGRES_COMMIT_CONNECTIONS", "must be at least 2")
	fault(p.ReadConnections >= 2, "POSTGRES_READ_CONNECTIONS", "must be at least 2")
	fault(p.LockTimeout >= 10*time.Millisecond, "POSTGRES_LOCK_TIMEOUT", "must be at least 10ms")
	fault(p.CommitTimeout >= 2*p.LockTimeout && p.CommitTimeout <= maxTimeout, "POSTGRES_COMMIT_TIMEOUT", "must be at least twice WALLETD_POSTGRES_LOCK_TIMEOUT, and at most 1h")
	fault(p.ReadTimeout >= 10*time.Millisecond && p.ReadTimeout <= maxTimeout, "POSTGRES_READ_TIMEOUT", "must be 10ms to 1h")
	fault(topicName.MatchString(k.Topic) && strings.Trim(k.Topic, ".") != "", "KAFKA_TOPIC", "must be 1 to 236 letters, digits, dots, underscores and hyphens")
	fault(k.Partitions >= 1 && k.Partitions <= 10_000, "KAFKA_PARTITIONS", "must be 1 to 10000")
	fault(k.Replication >= 1, "KAFKA_REPLICATION", "must be at least 1")
	fault(k.AckTimeout >= 10*time.Millisecond && k.AckTimeout <= 10*time.Second, "KAFKA_ACK_TIMEOUT", "must be 10ms to 10s")
	fault(k.SessionTimeout >= time.Second && k.SessionTimeout <= 30*time.Minute, "KAFKA_SESSION_TIMEOUT", "must be 1s to 30m")
	fault(slices.Contains(onOff, k.TLS), "KAFKA_TLS", "must be off or on")
	fault(k.SASL == "" || slices.Contains(saslMechanisms, k.SASL), "KAFKA_SASL", "must be empty or one of "+strings.Join(saslMechanisms, ", "))
	login := slices.Contains(saslMechanisms, k.SASL)
	fault(!login || k.Username != "", "KAFKA_USERNAME", "is missing beside WALLETD_KAFKA_SASL")
	fault(login || k.Username == "", "KAFKA_USERNAME", "needs WALLETD_KAFKA_SASL")
	fault(login || k.Password == "", "KAFKA_PASSWORD", "needs WALLETD_KAFKA_SASL")
	fault(slices.Contains(onOff, r.TLS), "REDIS_TLS", "must be off or on")
	fault(r.Timeout >= time.Millisecond, "REDIS_TIMEOUT", "must be at least 1ms")
	fault(r.TTL >= time.Second, "REDIS_TTL", "must be at least 1s")
	// prefer and allow go on without TLS if it fails, and then check nothing.
	encrypted := slices.Contains([]string{"require", "verify-ca", "verify-full"}, p.SSLMode)
	faults = append(faults, p.check("WALLETD_POSTGRES_", encrypted, "SSLMODE=verify-full")...)
	faults = append(faults, k.check("WALLETD_KAFKA_", k.TLS == "on", "TLS=on")...)
	return append(faults, r.check("WALLETD_REDIS_", r.TLS == "on", "TLS=on")...)
}

// maxTimeout is far below what PostgreSQL takes as one, 24 days.
const maxTimeout = time.Hour

// topicName is what Kafka takes, with room for the name of the dead letters' topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,236}$`)

// saslMechanisms are those by which the journal can log in.
var saslMechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// sslModes are those that PostgreSQL's clients know.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// isOrigin reports whether s is an origin as a browser sends it (RFC 6454, 6.2).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	usual := u != nil && (u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443") // which is left out
	return err == nil && u.Scheme != "" && u.Host != "" && !usual && !strings.Contains(s, "*") && s == strings.ToLower(u.Scheme+"://"+u.Host)
}

// hostPort reports whether s can be an address; its port is a number.
func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	_, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && notNumber == nil && (host == "" || isHost(host))
}

// isHost reports whether s can be a name, an IP address, or the directory of a socket.
func isHost(s string) bool {
	return !strings.ContainsAny(s, " \t\r\n,@?[]") && (!strings.Contains(s, ":") || isIP(s))
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
