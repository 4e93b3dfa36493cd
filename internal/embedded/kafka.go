package embedded

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// defaultHeapMiB suffices for tests; a broker that is to be measured wants 1024.
const defaultHeapMiB = 512

// KafkaConfig says how a Kafka broker is started; only Dir is required.
type KafkaConfig struct {
	Dir             string            // keeps data, configuration, log and lock of this broker
	Port            int               // 0 takes a free one
	HeapMiB         int               // of the Java machine; 0 is 512
	ClusterID       string            // of NewClusterID, the same for brokers that form a cluster; "" is one of this broker's own
	Production      bool              // run as Kafka's own start script does: slower for some minutes, then faster, with short pauses
	ExtraProperties map[string]string // of server.properties, over ours
	Hosts           map[string]string // addresses of the host names that this broker knows; nil for those of the machine
	Progress        io.Writer         // told what takes long; nil for silence
}

// Kafka is a running Apache Kafka broker, its own controller: a Java child process that listens on loopback only. Every
// record is flushed to disk, nothing expires, and no topic is made by itself.
type Kafka struct {
	server
	config     KafkaConfig
	jars       string
	controller int // port
}

// StartKafka starts a Kafka broker on the data in config.Dir and returns when it serves requests. The jars are fetched when
// the cache has none; Java and Maven are installed when this process is root on a Debian system, else their absence is
// ErrMissing with the names of the packages. Other errors wrap ErrFetch, ErrPortInUse, ErrDirInUse or ErrNoSpace where that
// is the reason. The caller stops the broker.
func StartKafka(ctx context.Context, config KafkaConfig) (*Kafka, error) {
	if config.HeapMiB == 0 {
		config.HeapMiB = defaultHeapMiB
	}
	k := &Kafka{config: config}
	if err := k.init("Kafka", config.Dir, nil); err != nil {
		return nil, err
	}
	k.launch = k.launchOnPorts
	if err := k.open(ctx, k.prepare); err != nil {
		return nil, err
	}
	return k, nil
}

// Brokers is the address to connect to, as clients take it; it stays the same over restarts.
func (k *Kafka) Brokers() []string { return []string{address(k.config.Port)} }

func (k *Kafka) prepare(ctx context.Context) (err error) {
	k.jars, err = kafkaJars(ctx, k.config.Progress)
	return err
}

// launchOnPorts starts the broker on its two ports, which it takes at its first start and keeps.
func (k *Kafka) launchOnPorts(ctx context.Context) (*child, error) {
	if k.controller != 0 {
		return k.launchBroker(ctx)
	}
	fixed := k.config.Port
	if fixed != 0 {
		if err := checkPort(k.name, fixed); err != nil {
			return nil, err
		}
	}
	return onFreePorts(2, func(ports []int) (*child, error) {
		k.controller = ports[0]
		if fixed == 0 {
			k.config.Port = ports[1]
		}
		return k.launchBroker(ctx)
	})
}

func (k *Kafka) launchBroker(ctx context.Context) (*child, error) {
	if err := os.WriteFile(k.propertiesFile(), k.properties(), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(k.hostsFile(), k.hosts(), 0o644); err != nil {
		return nil, err
	}
	if err := k.format(ctx); err != nil {
		return nil, err
	}
	child, err := startChild(k.command("kafka.Kafka", k.propertiesFile()))
	if err != nil {
		return nil, err
	}
	return child, child.await(ctx, func() bool {
		return strings.Contains(child.output(maxLogBytes), "Kafka Server started") && answers(k.config.Port)
	})
}

// answers reports whether something accepts connections on the port.
func answers(port int) bool {
	conn, err := net.Dial("tcp", address(port))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// asProduction are the options of the Java machine that Kafka's bin/kafka-run-class.sh has by default. With the serial
// collector a pause takes 25 to 40 ms, every few seconds: that alone was the 99th percentile of a steady load.
var asProduction = []string{"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"}

// forTests leave the processors to what the broker is tested with: it lives for seconds.
var forTests = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}

// command runs a class of the broker's jars.
func (k *Kafka) command(class string, args ...string) command {
	java := slices.Clone(forTests)
	if k.config.Production {
		java = append(slices.Clone(asProduction), fmt.Sprintf("-Xms%dm", k.config.HeapMiB))
	}
	if k.config.Hosts != nil {
		java = append(java, "-Djdk.net.hosts.file="+k.hostsFile())
	}
	java = append(java, fmt.Sprintf("-Xmx%dm", k.config.HeapMiB), "-Xshare:auto", "-cp", filepath.Join(k.jars, "*"), class)
	return command{
		name:    k.name,
		path:    "java",
		args:    append(java, args...),
		dir:     k.dir,
		env:     []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "JAVA_HOME=" + os.Getenv("JAVA_HOME")},
		logPath: filepath.Join(k.dir, "kafka.log"),
		stop:    syscall.SIGTERM,
		orphan:  syscall.SIGKILL, // what it acknowledged is on disk, so it need not be asked
	}
}
