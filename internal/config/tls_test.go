package config

import (
	"slices"
	"testing"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

func TestTLSIsReadFromTheFiles(t *testing.T) {
	files := embeddedtest.MakeCertificates(t)
	c, err := Load(committed, []string{
		"WALLETD_KAFKA_TLS=on", "WALLETD_KAFKA_CA_FILE=" + files.CA,
		"WALLETD_REDIS_TLS=on", "WALLETD_REDIS_CERT_FILE=" + files.Cert, "WALLETD_REDIS_KEY_FILE=" + files.Key,
	})
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := c.Kafka.TLSConfig()
	if err != nil || kafka.RootCAs == nil || len(kafka.Certificates) != 0 {
		t.Errorf("Kafka: %+v, %v", kafka, err)
	}
	redis, err := c.Redis.TLSConfig()
	if err != nil || redis.RootCAs != nil || len(redis.Certificates) != 1 {
		t.Errorf("Redis: %+v, %v", redis, err)
	}
}

func TestWrongCertificatesAreReportedWithTheirVariable(t *testing.T) {
	files := embeddedtest.MakeCertificates(t)
	for _, c := range []struct {
		want string
		env  []string
	}{
		{"WALLETD_KAFKA_CA_FILE", []string{"WALLETD_KAFKA_TLS=on", "WALLETD_KAFKA_CA_FILE=" + files.CA + ".absent"}},
		{"WALLETD_KAFKA_CA_FILE", []string{"WALLETD_KAFKA_TLS=on", "WALLETD_KAFKA_CA_FILE=" + files.Key}},
		{"WALLETD_KAFKA_KEY_FILE", []string{"WALLETD_KAFKA_TLS=on", "WALLETD_KAFKA_CERT_FILE=" + files.Cert}},
		{"WALLETD_REDIS_CERT_FILE", []string{"WALLETD_REDIS_TLS=on", "WALLETD_REDIS_KEY_FILE=" + files.Key}},
		{"WALLETD_REDIS_CERT_FILE", []string{"WALLETD_REDIS_TLS=on", "WALLETD_REDIS_CERT_FILE=" + files.CA, "WALLETD_REDIS_KEY_FILE=" + files.Key}},
		{"WALLETD_POSTGRES_KEY_FILE", []string{"WALLETD_POSTGRES_SSLMODE=verify-full", "WALLETD_POSTGRES_CERT_FILE=" + files.Cert, "WALLETD_POSTGRES_KEY_FILE=" + files.Key + ".absent"}},
		{"WALLETD_POSTGRES_CA_FILE", []string{"WALLETD_POSTGRES_SSLMODE=prefer", "WALLETD_POSTGRES_CA_FILE=" + files.CA}},
		{"WALLETD_KAFKA_USERNAME", []string{"WALLETD_KAFKA_SASL=PLAIN"}},
	} {
		_, err := Load(committed, c.env)
		if got := names(t, err); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%q: reported %q, want %s", c.env, got, c.want)
		}
	}
}
