package connect

import (
	"os"
	"testing"

	"github.com/walletd/walletd/internal/config"
	"github.com/walletd/walletd/internal/embedded/embeddedtest"
)

const committed = "../../config.env"

func TestEveryMechanismOfTheConfigurationIsTheJournals(t *testing.T) {
	for _, name := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		cfg, err := config.Load(committed, []string{"WALLETD_KAFKA_SASL=" + name, "WALLETD_KAFKA_USERNAME=walletd"})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Journal(cfg.Kafka); err != nil || c.SASL == nil || c.SASL.Name() != name {
			t.Errorf("%s: %+v, %v", name, c.SASL, err)
		}
	}
}

func TestAsCommittedNothingIsEncrypted(t *testing.T) {
	cfg, err := config.Load(committed, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Journal(cfg.Kafka); err != nil || c.TLS != nil || c.SASL != nil {
		t.Errorf("journal: %+v, %v", c, err)
	}
	if c, err := Cache(cfg.Redis); err != nil || c.TLS != nil {
		t.Errorf("cache: %+v, %v", c, err)
	}
}

func TestACertificateThatIsGoneIsNamed(t *testing.T) {
	files := embeddedtest.MakeCertificates(t)
	cfg, err := config.Load(committed, []string{"WALLETD_REDIS_TLS=on", "WALLETD_REDIS_CA_FILE=" + files.CA})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files.CA); err != nil {
		t.Fatal(err)
	}
	if _, err := Cache(cfg.Redis); err == nil || err.Error() != "WALLETD_REDIS_CA_FILE: no such file or directory" {
		t.Errorf("got %v", err)
	}
}
