package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wrong are values that cannot be right, each for its own reason.
var wrong = []string{
	"WALLETD_HTTP_ADDRESS=8080",
	"WALLETD_PPROF_ADDRESS=", // required
	"WALLETD_METRICS_ADDRESS=localhost:",
	"WALLETD_WAIT=31s",
	"WALLETD_BODY_BYTES=12",
	"WALLETD_BULK_BYTES=16777217",
	"WALLETD_WALLET_REQUESTS=0",
	"WALLETD_REQUESTS=many", "WALLETD_CONNECTIONS=0",
	"WALLETD_CORS_ORIGINS=https://a.example/",
	"WALLETD_SHUTDOWN_DELAY=-1s",
	"WALLETD_SHUTDOWN_TIMEOUT=20",
	"WALLETD_LOG_LEVEL=loud",
	"WALLETD_LOG_FORMAT=xml",
	"WALLETD_POSTGRES_HOST=one,two",
	"WALLETD_POSTGRES_PORT=70000",
	"WALLETD_POSTGRES_SSLMODE=maybe",
	"WALLETD_POSTGRES_COMMIT_CONNECTIONS=1",
	"WALLETD_POSTGRES_READ_CONNECTIONS=0",
	"WALLETD_POSTGRES_COMMIT_TIMEOUT=600ms",
	"WALLETD_POSTGRES_READ_TIMEOUT=1ms",
	"WALLETD_POSTGRES_LOCK_TIMEOUT=soon",
	"WALLETD_KAFKA_BROKERS=kafka",
	"WALLETD_KAFKA_TOPIC=",
	"WALLETD_KAFKA_PARTITIONS=0",
	"WALLETD_KAFKA_REPLICATION=0",
	"WALLETD_KAFKA_ACK_TIMEOUT=11s",
	"WALLETD_KAFKA_SESSION_TIMEOUT=31m",
	"WALLETD_REDIS_ADDRESS=redis",
	"WALLETD_REDIS_TIMEOUT=0s",
	"WALLETD_REDIS_TTL=1ms",
	"WALLETD_POSTGRES_CA_FILE=ca.pem", // the committed file has TLS off: whoever sets these believes it is on
	"WALLETD_POSTGRES_CERT_FILE=walletd.pem",
	"WALLETD_POSTGRES_KEY_FILE=walletd.key",
	"WALLETD_KAFKA_TLS=true",
	"WALLETD_KAFKA_CA_FILE=ca.pem",
	"WALLETD_KAFKA_CERT_FILE=walletd.pem",
	"WALLETD_KAFKA_KEY_FILE=walletd.key",
	"WALLETD_KAFKA_SASL=GSSAPI",
	"WALLETD_KAFKA_USERNAME=walletd", // and no mechanism
	"WALLETD_KAFKA_PASSWORD=walletd",
	"WALLETD_REDIS_TLS=true",
	"WALLETD_REDIS_CA_FILE=ca.pem",
	"WALLETD_REDIS_CERT_FILE=walletd.pem",
	"WALLETD_REDIS_KEY_FILE=walletd.key",
	"WALLETD_REDIS_TLL=10m", // misspelt
}

// names returns what the lines of err begin with, sorted.
func names(t *testing.T, err error) (names []string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for line := range strings.Lines(err.Error()) {
		name, what, ok := strings.Cut(line, ": ")
		if !ok || strings.TrimSpace(what) == "" {
			t.Errorf("%q does not name its variable and what is wrong with it", line)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestEachFaultAloneIsReportedWithItsVariable(t *testing.T) {
	for _, line := range wrong {
		name, _, _ := strings.Cut(line, "=")
		_, err := Load(committed, []string{line})
		if got := names(t, err); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: reported %q", line, got)
		}
	}
}

// What could never be reached or listened at is not left to be found at run time.
func TestAddressesThatCannotBeAreFaults(t *testing.T) {
	for name, values := range map[string][]string{
		"WALLETD_HTTP_ADDRESS":  {"127.0.0.1:99999", "127.0.0.1:http", "a b:8080"},
		"WALLETD_KAFKA_BROKERS": {"a:9092, b:9092", "a:99999", "a:kafka"},
		"WALLETD_REDIS_ADDRESS": {"redis:63 79", "redis:99999"},
		"WALLETD_POSTGRES_HOST": {"db:5432", "[::1]", " db", "user@db"},
	} {
		for _, value := range values {
			_, err := Load(committed, []string{name + "=" + value})
			if got := names(t, err); !slices.Equal(got, []string{name}) {
				t.Errorf("%s=%s: reported %q", name, value, got)
			}
		}
	}
	for _, line := range []string{"WALLETD_HTTP_ADDRESS=:0", "WALLETD_REDIS_ADDRESS=[fe80::1%eth0]:6379", "WALLETD_POSTGRES_HOST=::1", "WALLETD_POSTGRES_HOST=/var/run/postgresql"} {
		if _, err := Load(committed, []string{line}); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestAllFaultsAreReportedTogetherOnceEach(t *testing.T) {
	var want []string
	for _, line := range wrong {
		name, _, _ := strings.Cut(line, "=")
		if name != "WALLETD_POSTGRES_COMMIT_TIMEOUT" { // wrong only beside a lock timeout that could be read
			want = append(want, name)
		}
	}
	slices.Sort(want)
	_, err := Load(committed, wrong)
	if got := names(t, err); !slices.Equal(got, want) {
		t.Errorf("reported %q\nwant     %q", got, want)
	}
}

func TestEmptyFileLacksExactlyTheRequiredVariables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.env")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, nil)
	want := []string{
		"WALLETD_HTTP_ADDRESS", "WALLETD_KAFKA_BROKERS", "WALLETD_KAFKA_GROUP", "WALLETD_KAFKA_TOPIC", "WALLETD_METRICS_ADDRESS",
		"WALLETD_POSTGRES_DATABASE", "WALLETD_POSTGRES_HOST", "WALLETD_POSTGRES_USER", "WALLETD_PPROF_ADDRESS", "WALLETD_REDIS_ADDRESS",
	}
	if got := names(t, err); !slices.Equal(got, want) {
		t.Errorf("reported %q\nwant     %q", got, want)
	}
}

func TestWithoutAFileTheEnvironmentIsEnough(t *testing.T) {
	t.Chdir(t.TempDir())
	all := []string{
		"WALLETD_HTTP_ADDRESS=:8080", "WALLETD_PPROF_ADDRESS=:8081", "WALLETD_METRICS_ADDRESS=:8082",
		"WALLETD_KAFKA_BROKERS=kafka:9092", "WALLETD_KAFKA_TOPIC=t", "WALLETD_KAFKA_GROUP=g", "WALLETD_REDIS_ADDRESS=redis:6379",
		"WALLETD_POSTGRES_HOST=postgres", "WALLETD_POSTGRES_USER=u", "WALLETD_POSTGRES_DATABASE=d",
	}
	if c, err := Load("", all); err != nil || c.Postgres.Host != "postgres" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Load("", all[3:]); err == nil {
		t.Error("addresses are missing, and nobody said so")
	}
	if c, err := LoadComponents("", all[3:]); err != nil || c.Redis.Address != "redis:6379" {
		t.Errorf("components: %+v, %v", c, err)
	}
	if _, err := LoadComponents("", append(all[4:], "WALLETD_WAIT=soon")); !slices.Equal(names(t, err), []string{"WALLETD_KAFKA_BROKERS", "config.env"}) {
		t.Errorf("components: %v", err)
	}
}

func TestAbsentFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.env")
	if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// A line that is forgotten in wrong would leave its check untested.
func TestEveryCheckedVariableIsAmongTheWrongOnes(t *testing.T) {
	free := []string{ // any text is right
		"WALLETD_KAFKA_GROUP", "WALLETD_POSTGRES_DATABASE", "WALLETD_POSTGRES_PASSWORD",
		"WALLETD_POSTGRES_USER", "WALLETD_REDIS_PASSWORD", "WALLETD_REDIS_USERNAME",
	}
	for _, name := range variablesOf(reflect.TypeFor[Config](), "") {
		tried := slices.ContainsFunc(wrong, func(line string) bool { return strings.HasPrefix(line, name+"=") })
		if tried == slices.Contains(free, name) {
			t.Errorf("%s: tried with a wrong value: %t", name, tried)
		}
	}
}

func TestOriginsAreWhatBrowsersSend(t *testing.T) {
	for _, origin := range []string{"https://a.example", "http://127.0.0.1:3000", "http://[::1]:8000", "chrome-extension://abc"} {
		if !isOrigin(origin) {
			t.Errorf("%s is refused", origin)
		}
	}
	for _, text := range []string{"", "a.example", "foo bar", "https://a.example/", "https://a.example/path", "https://A.example", "https://u@a.example", " https://a.example", "https://a.example:443", "https://*.example", "*", "https://"} {
		if isOrigin(text) {
			t.Errorf("%q is taken", text)
		}
	}
}

// The line is named, and not quoted: it may hold a password.
func TestALineThatCannotBeReadIsNamedByItsNumber(t *testing.T) {
	for text, want := range map[string]string{
		"hunter2 x\n":                                      "line 1 is",
		"WALLETD_WAIT=1s\n\n# a\nhunter2 x\n":              "line 4 is",
		"\ufeffA=1\nB='two\nlines'\nC=1\nhunter2 x\nD=1\n": "line 5 is",
		"A=1\nWALLETD_POSTGRES_PASSWORD=\"hunter2\nB=1\n":  "line 2 is",
	} {
		file := filepath.Join(t.TempDir(), "config.env")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
