package embedded

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kafkaPOM names the broker's version; Maven takes the jars from it.
//
//go:embed kafka/pom.xml
var kafkaPOM []byte

var kafkaPrograms = []program{
	{"java", "default-jre-headless"},
	{"mvn", "maven"},
}

// kafkaJars returns the directory with the broker's jars, fetched by Maven when the cache does not have it. Another pom.xml
// has another directory.
func kafkaJars(ctx context.Context, progress io.Writer) (string, error) {
	if err := ensurePrograms(ctx, progress, kafkaPrograms[:1]); err != nil {
		return "", err
	}
	name := fmt.Sprintf("kafka-%.4x", sha256.Sum256(kafkaPOM))
	return cached(ctx, "", name, func(dir string) error {
		if err := ensurePrograms(ctx, progress, kafkaPrograms); err != nil {
			return err
		}
		end := begin(progress, "fetching Kafka (50 MB, once)")
		defer end()
		return fetchJars(ctx, dir)
	})
}

func fetchJars(ctx context.Context, dir string) error {
	pom := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(pom, kafkaPOM, 0o644); err != nil {
		return err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
		"-DoutputDirectory="+dir, "-DincludeScope=runtime")
	mvn.Env = mavenEnv()
	output, err := mvn.CombinedOutput()
	if err != nil {
		output = output[max(0, len(output)-logTailBytes):]
		return fmt.Errorf("%w: Kafka's jars are fetched by Maven, once: connect this machine to the Internet (or name a mirror in "+
			"Maven's settings.xml) and start again: %w\n%s", ErrFetch, err, output)
	}
	return nil
}

// mavenEnv is the environment with the home that HOME names, for Maven's settings and its own cache. By itself it takes the one
// in the system's list of users, which may not exist.
func mavenEnv() []string {
	home, err := os.UserHomeDir()
	if err != nil || strings.ContainsAny(home, " \t") { // its start script splits the variable at blanks
		return os.Environ()
	}
	return append(os.Environ(), "MAVEN_OPTS="+os.Getenv("MAVEN_OPTS")+" -Duser.home="+home)
}

// format makes the broker's data directory. It is marked when that is complete: an unmarked one is of an interrupted start,
// and is made again.
func (k *Kafka) format(ctx context.Context) error {
	marker := filepath.Join(k.dir, "formatted")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	if err := os.RemoveAll(k.dataDir()); err != nil {
		return err
	}
	id := k.config.ClusterID
	if id == "" {
		id = NewClusterID()
	}
	child, err := startChild(k.command("kafka.tools.StorageTool", "format", "-t", id, "-c", k.propertiesFile()))
	if err != nil {
		return err
	}
	return errors.Join(child.finish(ctx), os.WriteFile(marker, nil, 0o644))
}

// NewClusterID is a random UUID as Kafka writes it: base64 without padding, not beginning with a dash, which the tool's command
// line would take for an option.
func NewClusterID() string {
	for {
		var id [16]byte
		rand.Read(id[:])
		if text := base64.RawURLEncoding.EncodeToString(id[:]); !strings.HasPrefix(text, "-") {
			return text
		}
	}
}
