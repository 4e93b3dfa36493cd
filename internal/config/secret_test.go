package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const password = "hunter2-of-the-ledger"

// shown fails if text tells the password.
func shown(t *testing.T, how, text string) {
	t.Helper()
	if strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%x", password)) {
		t.Errorf("%s shows the password: %s", how, text)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c, err := Load(committed, []string{"WALLETD_POSTGRES_PASSWORD=" + password, "WALLETD_REDIS_PASSWORD=" + password, "WALLETD_KAFKA_SASL=PLAIN", "WALLETD_KAFKA_USERNAME=walletd", "WALLETD_KAFKA_PASSWORD=" + password})
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Postgres.Password) != password || !strings.Contains(c.Postgres.DSN(), password) {
		t.Fatal("the password did not arrive")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{c, &c, c.Postgres, c.Kafka, c.Redis, &c.Redis, c.Postgres.Password, []Secret{c.Redis.Password}} {
			shown(t, verb, fmt.Sprintf(verb, value))
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown(t, "JSON", string(text))
	shown(t, "an error", fmt.Errorf("configuration %v: %w", c, errors.ErrUnsupported).Error())
}

func TestSecretsAreNeverLogged(t *testing.T) {
	c, err := Load(committed, []string{"WALLETD_POSTGRES_PASSWORD=" + password, "WALLETD_REDIS_PASSWORD=" + password, "WALLETD_KAFKA_SASL=PLAIN", "WALLETD_KAFKA_USERNAME=walletd", "WALLETD_KAFKA_PASSWORD=" + password})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(handler)
		log.Info("whole", "config", c, "pointer", &c)
		log.Info("parts", "redis", c.Redis, "password", c.Postgres.Password, slog.Group("group", "postgres", c.Postgres))
		log.With("config", c).Info("bound")
	}
	if out.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	shown(t, "the log", out.String())
}

func TestFaultsNeverQuoteValues(t *testing.T) {
	var all []string
	for _, line := range wrong {
		name, _, _ := strings.Cut(line, "=")
		all = append(all, name+"="+password)
	}
	_, err := Load(committed, append(all, "WALLETD_NO_SUCH_VARIABLE="+password))
	if err == nil {
		t.Fatal("no error")
	}
	shown(t, "the error", err.Error())
}

func TestUnreadableLineIsNotQuoted(t *testing.T) {
	for _, line := range []string{password, "WALLETD_REDIS_PASSWORD " + password, "WALLETD_REDIS_PASSWORD=\"" + password, "\x00=" + password} {
		path := filepath.Join(t.TempDir(), "config.env")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, nil)
		if err == nil {
			t.Errorf("%q: no error", line)
			continue
		}
		shown(t, "the error", err.Error())
	}
}
