package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// committed is the file in the repository's root.
const committed = "../../config.env"

// written returns the path of a file with these lines after the committed ones.
func written(t *testing.T, lines ...string) string {
	t.Helper()
	text, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.env")
	if err := os.WriteFile(path, []byte(string(text)+"\n"+strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommittedFileLoadsAsItIs(t *testing.T) {
	c, err := Load(committed, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The addresses that the service promises.
	if c.HTTPAddress != "127.0.0.1:8080" || c.PprofAddress != "127.0.0.1:8081" || c.MetricsAddress != "127.0.0.1:8082" {
		t.Errorf("addresses %s, %s, %s", c.HTTPAddress, c.PprofAddress, c.MetricsAddress)
	}
	if c.Wait != time.Second || !reflect.DeepEqual(c.CORSOrigins, []string{"*"}) {
		t.Errorf("wait %s, origins %q", c.Wait, c.CORSOrigins)
	}
}

func TestEnvironmentOverridesTheFile(t *testing.T) {
	c, err := Load(committed, []string{
		"WALLETD_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092", "WALLETD_POSTGRES_PASSWORD=of=the=environment",
		"WALLETD_WAIT=0s", "OTHER_VARIABLE=ignored",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Kafka.Brokers, []string{"kafka-1:9092", "kafka-2:9092"}) {
		t.Errorf("brokers %q", c.Kafka.Brokers)
	}
	if c.Postgres.Password != "of=the=environment" || c.Wait != 0 {
		t.Errorf("the password differs, or wait is %s", c.Wait)
	}
}

// committedFile returns what the committed file says, and its text.
func committedFile(t *testing.T) (Config, string) {
	t.Helper()
	says, err := Load(committed, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	return says, string(text)
}

func TestAFileOfWindowsIsReadAsItIs(t *testing.T) {
	want, text := committedFile(t)
	path := filepath.Join(t.TempDir(), "config.env")
	if err := os.WriteFile(path, []byte("\ufeff"+strings.ReplaceAll(text, "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path, nil); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLaterLineOfTheFileIsAnOrdinaryValue(t *testing.T) {
	c, err := Load(written(t, "OTHER_VARIABLE=ignored", "WALLETD_LOG_FORMAT=json"), nil)
	if err != nil || c.LogFormat != "json" {
		t.Errorf("format %q, %v", c.LogFormat, err)
	}
}

// Without the quotes a $ begins a variable and a # a comment, in the file only.
func TestSingleQuotesKeepAPasswordAsItIs(t *testing.T) {
	const odd = `a$HOME #b\n"c`
	c, err := Load(written(t, "WALLETD_POSTGRES_PASSWORD='"+odd+"'"), []string{"WALLETD_REDIS_PASSWORD=" + odd})
	if err != nil || c.Postgres.Password != odd || c.Redis.Password != odd {
		t.Errorf("file %q, environment %q, %v", string(c.Postgres.Password), string(c.Redis.Password), err)
	}
}

// Kubernetes sets these for services named walletd, walletd-metrics and walletd-postgres.
func TestServiceLinksOfKubernetesAreNoVariablesOfOurs(t *testing.T) {
	want, _ := committedFile(t)
	links := []string{
		"WALLETD_SERVICE_HOST=10.0.0.1", "WALLETD_SERVICE_PORT=8080", "WALLETD_SERVICE_PORT_HTTP=8080", "WALLETD_PORT=tcp://10.0.0.1:8080",
		"WALLETD_PORT_8080_TCP=tcp://10.0.0.1:8080", "WALLETD_PORT_8080_TCP_PROTO=tcp", "WALLETD_PORT_8080_TCP_PORT=8080", "WALLETD_PORT_8080_TCP_ADDR=10.0.0.1",
		"WALLETD_METRICS_SERVICE_HOST=10.0.0.2", "WALLETD_METRICS_PORT=tcp://10.0.0.2:8082", "WALLETD_POSTGRES_SERVICE_HOST=10.0.0.3",
		"WALLETD_POSTGRES_PORT=tcp://10.0.0.3:5432",
	}
	if got, err := Load(committed, links); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Load(committed, []string{"WALLETD_POSTGRES_PORT=5433"}); err != nil || got.Postgres.Port != 5433 {
		t.Errorf("%+v, %v", got.Postgres, err)
	}
	file := filepath.Join(t.TempDir(), "config.env")
	if err := os.WriteFile(file, []byte("WALLETD_PORT=8080\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file, nil); err == nil || !strings.Contains(err.Error(), "WALLETD_PORT: no such variable") {
		t.Errorf("what somebody has written: %v", err)
	}
}

func TestAbsentVariableHasTheCommittedDefault(t *testing.T) {
	want, text := committedFile(t)
	required := " HTTP_ADDRESS PPROF_ADDRESS METRICS_ADDRESS POSTGRES_HOST POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DATABASE " +
		"POSTGRES_SSLMODE KAFKA_BROKERS KAFKA_TOPIC KAFKA_GROUP REDIS_ADDRESS "
	var lines []string
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, prefix), "=")
		if strings.Contains(required, " "+name+" ") {
			lines = append(lines, line)
		}
	}
	path := filepath.Join(t.TempDir(), "config.env")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without the optional variables: %+v, %v\nwith them: %+v", got, err, want)
	}
}

func TestWhereAPostgresIsCanBeSaidByVariables(t *testing.T) {
	var at Postgres
	if err := at.Point("postgres://ada:p%40ss@[::1]:5433/books"); err != nil {
		t.Fatal(err)
	}
	c, err := Load(committed, at.Environ())
	if got := c.Postgres; err != nil || got.Host != "::1" || got.Port != 5433 || got.User != "ada" || got.Password != "p@ss" || got.Database != "books" || got.SSLMode != "disable" {
		t.Errorf("%+v, %v", got, err)
	}
}
