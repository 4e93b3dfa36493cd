package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/walletd/walletd/internal/embedded"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

const (
	kafkaUser     = "walletd"
	kafkaPassword = "tell-nobody"
)

// guardedStack is components that walletd reaches by TLS: PostgreSQL with its
// certificate checked, Redis and Kafka that ask for walletd's own besides, and Kafka
// for a password too, whose user may no more than docs/operations.md says.
func guardedStack(t *testing.T) *stack {
	t.Helper()
	files := embeddedtest.MakeCertificates(t)
	ports := freePorts(t, 4)
	secureRedis, plain, secure, controller := ports[0], ports[1], ports[2], ports[3]
	redis := stoppedAfter[*embedded.Redis](t)(embedded.StartRedis(t.Context(), embedded.RedisConfig{Dir: t.TempDir(), Settings: map[string]string{
		"tls-port": fmt.Sprint(secureRedis), "tls-ca-cert-file": files.CA, "tls-cert-file": files.Cert, "tls-key-file": files.Key,
	}}))
	postgres := stoppedAfter[*embedded.Postgres](t)(startGuardedPostgres(t, files))
	kafka := stoppedAfter[*embedded.Kafka](t)(embedded.StartKafka(t.Context(), embedded.KafkaConfig{
		Dir: t.TempDir(), Port: plain, ExtraProperties: guardedBroker(t, files, plain, secure, controller),
	}))
	s := newStackOn(t, postgres, redis, kafka)
	s.admit()
	s.always = []string{
		"WALLETD_POSTGRES_SSLMODE=verify-full", "WALLETD_POSTGRES_CA_FILE=" + files.CA,
		fmt.Sprint("WALLETD_REDIS_ADDRESS=127.0.0.1:", secureRedis),
		fmt.Sprint("WALLETD_KAFKA_BROKERS=127.0.0.1:", secure),
		"WALLETD_KAFKA_SASL=SCRAM-SHA-512", "WALLETD_KAFKA_USERNAME=" + kafkaUser, "WALLETD_KAFKA_PASSWORD=" + kafkaPassword,
	}
	for _, component := range []string{"KAFKA", "REDIS"} {
		name := "WALLETD_" + component + "_"
		s.always = append(s.always, name+"TLS=on", name+"CA_FILE="+files.CA, name+"CERT_FILE="+files.Cert, name+"KEY_FILE="+files.Key)
	}
	return s
}

// startGuardedPostgres gives the server its certificate where only its own user reads it.
func startGuardedPostgres(t *testing.T, files embeddedtest.Certificates) (*embedded.Postgres, error) {
	t.Helper()
	dir := t.TempDir()
	postgres, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{Dir: dir, Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	owner, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	for from, name := range map[string]string{files.Cert: "server.crt", files.Key: "server.key"} {
		to := filepath.Join(data, name)
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err == nil {
			err = os.Chown(to, int(owner.Sys().(*syscall.Stat_t).Uid), -1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &stack{t: t}
	s.exec(postgres.DSN(), "ALTER SYSTEM SET ssl = on")
	s.exec(postgres.DSN(), "SELECT pg_reload_conf()")
	return postgres, nil
}

// guardedBroker are the properties of a broker that has two doors: one for the test,
// who may do all, and one where TLS, a certificate and a password are asked for and
// nobody may do anything that no rule allows.
func guardedBroker(t *testing.T, files embeddedtest.Certificates, plain, secure, controller int) map[string]string {
	t.Helper()
	var both []byte
	for _, file := range []string{files.Key, files.Cert} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	keystore := filepath.Join(t.TempDir(), "broker.pem")
	if err := os.WriteFile(keystore, both, 0o600); err != nil {
		t.Fatal(err)
	}
	doors := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,SASL_SSL://127.0.0.1:%d", plain, secure)
	return map[string]string{
		"listeners": fmt.Sprintf("%s,CONTROLLER://127.0.0.1:%d", doors, controller), "advertised.listeners": doors,
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
		"controller.quorum.voters":       fmt.Sprintf("1@127.0.0.1:%d", controller),
		"ssl.keystore.type":              "PEM", "ssl.keystore.location": keystore,
		"ssl.truststore.type": "PEM", "ssl.truststore.location": files.CA,
		"listener.name.sasl_ssl.ssl.client.auth": "required", "sasl.enabled.mechanisms": "SCRAM-SHA-512",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"authorizer.class.name":                                 "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                           "User:ANONYMOUS",
	}
}

// admit makes walletd's user, its topics, and the rules by which it may use them.
func (s *stack) admit() {
	s.t.Helper()
	ctx, admin := context.Background(), kadm.NewClient(s.kafkaAPI)
	users, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: kafkaUser, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: kafkaPassword}})
	if err == nil {
		err = users.Error()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for topic, partitions := range map[string]int32{s.topic: partitions, s.topic + ".dead-letters": 1} {
		if _, err := admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, rule := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(s.topic).Operations(kmsg.ACLOperationRead, kmsg.ACLOperationWrite).ResourcePatternType(kadm.ACLPatternPrefixed),
		kadm.NewACLs().Groups(s.topic).Operations(kmsg.ACLOperationRead).ResourcePatternType(kadm.ACLPatternLiteral),
		kadm.NewACLs().Clusters().Operations(kmsg.ACLOperationDescribe),
	} {
		made, err := admin.CreateACLs(ctx, rule.Allow("User:"+kafkaUser).AllowHosts())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range made {
			if m.Err != nil {
				s.t.Fatal(m.Err)
			}
		}
	}
}

// TestComponentsAreReachedByTLS from acceptance to audit, with the least rights in Kafka.
func TestComponentsAreReachedByTLS(t *testing.T) {
	t.Parallel()
	s := guardedStack(t)
	s.add(1, "WALLETD_WAIT=5s")
	r := s.replicas[0]
	r.ready()
	id := s.wallets(1)[0]
	for range 10 {
		if a := expect(t, r.submit(id, deposit, 7), 200); a.doc.Operation.Origin != "journal" {
			t.Errorf("%s", a.body)
		}
	}
	var plain int
	if err := s.connect().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
		WHERE application_name = 'walletd' AND NOT ssl`).Scan(&plain); err != nil || plain > 0 {
		t.Errorf("%d connections to PostgreSQL without TLS, %v", plain, err)
	}
	eventually(t, "brokers tell of their disks", func() bool { return r.metric("walletd_journal_disk_bytes") > 0 })
	s.drained()
	says(t, s.operator(0, "audit"), "with 10 operations", "1 balances compared")
	s.operator(0, "journal", "status")
	s.operator(0, "dlq", "list")
}

// TestAWrongPasswordOfKafka is a Kafka that is down: money moves by the direct way,
// and the log says why.
func TestAWrongPasswordOfKafka(t *testing.T) {
	t.Parallel()
	s := guardedStack(t)
	s.add(1, "WALLETD_WAIT=5s")
	s.replicas[0].ready()
	id := s.wallets(1)[0]
	expect(t, s.replicas[0].submit(id, deposit, 1), 200)
	s.replicas[0].terminate()

	s.add(1, "WALLETD_WAIT=5s", "WALLETD_KAFKA_PASSWORD=another")
	r := s.replicas[1]
	eventually(t, "ready without Kafka", func() bool {
		h, err := r.health()
		return err == nil && h.code == http.StatusOK && h.of("kafka") == "down"
	})
	if a := expect(t, r.submit(id, deposit, 2), 200); a.doc.Operation.Origin != "direct" {
		t.Errorf("%s", a.body)
	}
	says(t, r.current().output(), "SASL_AUTHENTICATION_FAILED")
}
