package journal

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

// guarded is a broker that speaks TLS, asks for a client's certificate, and knows one user.
func guarded(t *testing.T, mechanism string) (broker *kfake.Cluster, client *tls.Config) {
	t.Helper()
	files := embeddedtest.MakeCertificates(t)
	text, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(text)
	broker = embeddedtest.Kfake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "walletd", "secret"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: authorities, ClientAuth: tls.RequireAndVerifyClientCert}))
	return broker, &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{pair}}
}

// login is the configuration of a journal whose name and password are these.
func login(t *testing.T, broker *kfake.Cluster, client *tls.Config, mechanism, password string) Config {
	t.Helper()
	cfg := testConfig(broker.ListenAddrs())
	var err error
	if cfg.SASL, err = SASL(mechanism, "walletd", password); err != nil {
		t.Fatal(err)
	}
	cfg.TLS = client
	return cfg
}

func TestEachMechanismJournalsByTLS(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		broker, client := guarded(t, mechanism)
		a := newApplier(nil)
		j := met(t, login(t, broker, client, mechanism, "secret"), &fakeLedger{}, a)
		if _, err := j.put(deposit(uuid.New(), 1)); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func TestAnUntrustedClientFindsNoBroker(t *testing.T) {
	t.Parallel()
	broker, client := guarded(t, "SCRAM-SHA-512")
	stranger := client.Clone()
	stranger.Certificates = nil
	for name, cfg := range map[string]Config{
		"another password":   login(t, broker, client, "SCRAM-SHA-512", "other"),
		"no certificate":     login(t, broker, stranger, "SCRAM-SHA-512", "secret"),
		"no TLS":             login(t, broker, nil, "SCRAM-SHA-512", "secret"),
		"no SASL":            login(t, broker, client, "", ""),
		"unknown authority":  login(t, broker, &tls.Config{}, "SCRAM-SHA-512", "secret"),
		"a refused protocol": login(t, broker, client, "PLAIN", "secret"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newLog()
			cfg.Log, cfg.RequestTimeout = log.logger(), 500*time.Millisecond
			j := started(t, cfg, &fakeLedger{}, newApplier(nil))
			eventually(t, "the topic is said not to be met", func() bool { return strings.Contains(log.text(), "journal not ready yet") })
			if _, err := j.put(deposit(uuid.New(), 1)); err == nil {
				t.Error("journaled")
			}
		})
	}
}

func TestUnknownMechanismIsAnError(t *testing.T) {
	if m, err := SASL("GSSAPI", "walletd", "secret"); err == nil {
		t.Errorf("got %v", m)
	}
}
