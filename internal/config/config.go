// Package config reads walletd's configuration: a file of variables, overridden
// by the environment, checked as a whole before anything is started.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// Config is the whole configuration. config.env explains every variable.
type Config struct {
	HTTPAddress      string        `env:"WALLETD_HTTP_ADDRESS,required,notEmpty"`
	PprofAddress     string        `env:"WALLETD_PPROF_ADDRESS,required,notEmpty"`
	MetricsAddress   string        `env:"WALLETD_METRICS_ADDRESS,required,notEmpty"`
	CORSOrigins      []string      `env:"WALLETD_CORS_ORIGINS" envDefault:"*"`
	Wait             time.Duration `env:"WALLETD_WAIT" envDefault:"1s"`
	BodyBytes        int64         `env:"WALLETD_BODY_BYTES" envDefault:"16384"`
	BulkBytes        int64         `env:"WALLETD_BULK_BYTES" envDefault:"1048576"`
	WalletOperations int           `env:"WALLETD_WALLET_REQUESTS" envDefault:"10000"`
	Operations       int           `env:"WALLETD_REQUESTS" envDefault:"50000"`
	Connections      int           `env:"WALLETD_CONNECTIONS" envDefault:"10000"`
	ShutdownDelay    time.Duration `env:"WALLETD_SHUTDOWN_DELAY" envDefault:"0s"`
	ShutdownTimeout  time.Duration `env:"WALLETD_SHUTDOWN_TIMEOUT" envDefault:"20s"`
	LogLevel         slog.Level    `env:"WALLETD_LOG_LEVEL" envDefault:"info"`
	LogFormat        string        `env:"WALLETD_LOG_FORMAT" envDefault:"text"`

	Postgres Postgres `envPrefix:"WALLETD_POSTGRES_"`
	Kafka    Kafka    `envPrefix:"WALLETD_KAFKA_"`
	Redis    Redis    `envPrefix:"WALLETD_REDIS_"`
}

// Postgres says where the ledger is.
type Postgres struct {
	Host     string `env:"HOST,required,notEmpty"`
	Port     int    `env:"PORT" envDefault:"5432"`
	User     string `env:"USER,required,notEmpty"`
	Password Secret `env:"PASSWORD"`
	Database string `env:"DATABASE,required,notEmpty"`
	SSLMode  string `env:"SSLMODE" envDefault:"prefer"`

	Certificates `envPrefix:""`

	CommitConnections int32         `env:"COMMIT_CONNECTIONS" envDefault:"12"`
	ReadConnections   int32         `env:"READ_CONNECTIONS" envDefault:"8"`
	CommitTimeout     time.Duration `env:"COMMIT_TIMEOUT" envDefault:"5s"`
	ReadTimeout       time.Duration `env:"READ_TIMEOUT" envDefault:"2s"`
	LockTimeout       time.Duration `env:"LOCK_TIMEOUT" envDefault:"500ms"`
}

// DSN returns the connection string. It holds the password.
func (p Postgres) DSN() string {
	query := url.Values{"sslmode": {p.SSLMode}}
	for name, file := range map[string]string{"sslrootcert": p.CAFile, "sslcert": p.CertFile, "sslkey": p.KeyFile} {
		if file != "" {
			query.Set(name, file)
		}
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(p.User, string(p.Password)),
		Host: net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), Path: "/" + p.Database,
		RawQuery: query.Encode(),
	}
	return u.String()
}

// Point has p name the server, user and database of a connection URL, without TLS.
func (p *Postgres) Point(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	p.Host, p.Port, p.User, p.Password, p.Database = u.Hostname(), port, u.User.Username(), Secret(password), strings.TrimPrefix(u.Path, "/")
	p.SSLMode = "disable"
	return nil
}

// Environ are the variables that say where the ledger is, as NAME=value.
func (p Postgres) Environ() []string {
	const prefix = "WALLETD_POSTGRES_"
	return []string{prefix + "HOST=" + p.Host, prefix + "PORT=" + strconv.Itoa(p.Port), prefix + "USER=" + p.User,
		prefix + "PASSWORD=" + string(p.Password), prefix + "DATABASE=" + p.Database, prefix + "SSLMODE=" + p.SSLMode}
}

// Kafka says where the journal is.
type Kafka struct {
	Brokers        []string      `env:"BROKERS,required,notEmpty"`
	Topic          string        `env:"TOPIC,required,notEmpty"`
	Group          string        `env:"GROUP,required,notEmpty"`
	Partitions     int32         `env:"PARTITIONS" envDefault:"12"`
	Replication    int16         `env:"REPLICATION" envDefault:"1"`
	AckTimeout     time.Duration `env:"ACK_TIMEOUT" envDefault:"2s"`
	SessionTimeout time.Duration `env:"SESSION_TIMEOUT" envDefault:"6s"`

	TLS          string `env:"TLS" envDefault:"off"` // off or on
	Certificates `envPrefix:""`

	SASL     string `env:"SASL"` // a mechanism, or "" for none
	Username string `env:"USERNAME"`
	Password Secret `env:"PASSWORD"`
}

// Redis says where the balance cache is.
type Redis struct {
	Address  string        `env:"ADDRESS,required,notEmpty"`
	Username string        `env:"USERNAME"`
	Password Secret        `env:"PASSWORD"`
	Timeout  time.Duration `env:"TIMEOUT" envDefault:"100ms"`
	TTL      time.Duration `env:"TTL" envDefault:"10m"`

	TLS          string `env:"TLS" envDefault:"off"` // off or on
	Certificates `envPrefix:""`
}

// Secret is text that is never printed or logged.
type Secret string

// String hides the secret.
func (Secret) String() string { return "[hidden]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[hidden]" }

// MarshalText hides the secret from JSON, which is how a JSON log writes a whole
// configuration.
func (Secret) MarshalText() ([]byte, error) { return []byte("[hidden]"), nil }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[hidden]") }

const (
	prefix = "WALLETD_"

	// DefaultFile is read in the working directory if no other is named.
	DefaultFile = "config.env"
)

// Load reads the file, lets environ (as os.Environ gives it) override it, and
// checks everything. All faults are reported together, each with its variable.
// Without a file ("") it reads config.env in the working directory, if there is one.
func Load(file string, environ []string) (Config, error) {
	return load(file, environ, func(string) bool { return true })
}

// LoadComponents is Load for who does not serve: only what says where PostgreSQL, Kafka
// and Redis are has to be right.
func LoadComponents(file string, environ []string) (Config, error) {
	return load(file, environ, func(variable string) bool {
		return slices.ContainsFunc([]string{"POSTGRES_", "KAFKA_", "REDIS_"}, func(component string) bool { return strings.HasPrefix(variable, prefix+component) })
	})
}

// load reports the faults of the variables that are needed.
func load(file string, environ []string, needed func(variable string) bool) (Config, error) {
	vars, found, err := readFile(file)
	if err != nil {
		return Config{}, err
	}
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); strings.HasPrefix(k, prefix) && !isServiceLink(k, v) {
			vars[k] = v
		}
	}
	c, faults := parse(vars)
	faults = slices.DeleteFunc(faults, func(f error) bool { return !needed(variableOf(f)) })
	if len(faults) > 0 && !found {
		faults = append(faults, errors.New(DefaultFile+": is not in the working directory; --config names a file elsewhere"))
	}
	return c, errors.Join(faults...)
}

// readFile returns our variables of a file; only the default one may be absent.
func readFile(file string) (vars map[string]string, found bool, err error) {
	text, err := os.ReadFile(cmp.Or(file, DefaultFile))
	if err == nil {
		// Editors of Windows begin a file with a byte order mark, which is no line of it.
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
		vars, err = godotenv.UnmarshalBytes(text)
	}
	switch {
	case file == "" && errors.Is(err, fs.ErrNotExist):
		return map[string]string{}, false, nil
	case err != nil:
		// The parser quotes lines, which may hold a password.
		var path *fs.PathError
		if !errors.As(err, &path) {
			err = fmt.Errorf("line %d is not NAME=value", faultyLine(text))
		}
		return nil, false, fmt.Errorf("configuration file %s: %w", cmp.Or(file, DefaultFile), err)
	}
	maps.DeleteFunc(vars, func(k, _ string) bool { return !strings.HasPrefix(k, prefix) })
	return vars, true, nil
}

// faultyLine is the line from which on the text cannot be read.
func faultyLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	n := len(lines) - 1
	for ; n > 0; n-- {
		if _, err := godotenv.UnmarshalBytes(bytes.Join(lines[:n], nil)); err == nil {
			break
		}
	}
	return n + 1
}

var serviceLink = regexp.MustCompile(`^WALLETD_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// isServiceLink tells the variables that Kubernetes sets in every container of a namespace that
// has a service whose name begins with walletd. The port of a walletd-postgres has the name of
// one of ours, and is a URL.
func isServiceLink(name, value string) bool {
	if name == prefix+"POSTGRES_PORT" {
		return strings.Contains(value, "://")
	}
	return serviceLink.MatchString(name)
}

func parse(vars map[string]string) (c Config, faults []error) {
	known := map[string]bool{}
	err := env.ParseWithOptions(&c, env.Options{Environment: vars, OnSet: func(name string, _ any, _ bool) { known[name] = true }})
	faults = parseFaults(err)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !known[name] && !mentioned(faults, name) {
			faults = append(faults, fmt.Errorf("%s: no such variable", name))
		}
	}
	for _, f := range c.check() {
		// A variable that was not read has its fault already.
		if !mentioned(faults, variableOf(f)) {
			faults = append(faults, f)
		}
	}
	return c, faults
}

// variableOf is the variable that a fault begins with.
func variableOf(fault error) string {
	name, _, _ := strings.Cut(fault.Error(), ":")
	return name
}
