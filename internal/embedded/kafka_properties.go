package embedded

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// PageCache are the properties of a broker that acknowledges without a flush, as one of a cluster does.
var PageCache = map[string]string{"log.flush.interval.messages": "9223372036854775807"}

func (k *Kafka) propertiesFile() string { return filepath.Join(k.dir, "server.properties") }

func (k *Kafka) hostsFile() string { return filepath.Join(k.dir, "hosts") }

// hosts is the content of the file in which the Java machine looks names up.
func (k *Kafka) hosts() []byte {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(k.config.Hosts)) {
		fmt.Fprintf(&text, "%s %s\n", k.config.Hosts[name], name)
	}
	return []byte(text.String())
}

func (k *Kafka) dataDir() string { return filepath.Join(k.dir, "data") }

// SegmentFile is the first segment of a partition's log. While the broker does not run its end
// may be cut off: the broker then has lost it, as by a crash before it was written.
func (k *Kafka) SegmentFile(topic string, partition int32) string {
	return filepath.Join(k.dataDir(), fmt.Sprintf("%s-%d", topic, partition), fmt.Sprintf("%020d.log", 0))
}

// properties is the content of server.properties. The session timeout is how long a killed broker's successor waits to be
// let in (9 s by default), and also the pause after which a broker is taken for dead.
func (k *Kafka) properties() []byte {
	properties := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          "1",
		"controller.quorum.voters":                         "1@" + address(k.controller),
		"controller.listener.names":                        "CONTROLLER",
		"listeners":                                        "PLAINTEXT://" + address(k.config.Port) + ",CONTROLLER://" + address(k.controller),
		"advertised.listeners":                             "PLAINTEXT://" + address(k.config.Port),
		"log.dirs":                                         k.dataDir(),
		"broker.session.timeout.ms":                        "3000",
		"broker.heartbeat.interval.ms":                     "500",
		"auto.create.topics.enable":                        "false",
		"log.flush.interval.messages":                      "1",
		"log.retention.ms":                                 "-1",
		"offsets.topic.replication.factor":                 "1",
		"offsets.topic.num.partitions":                     "4",
		"group.initial.rebalance.delay.ms":                 "0",
		"num.network.threads":                              "2",
		"num.io.threads":                                   "4",
		"transaction.state.log.min.isr":                    "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"transaction.state.log.replication.factor":         "1",
	}
	maps.Copy(properties, k.config.ExtraProperties)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&text, "%s=%s\n", name, properties[name])
	}
	return []byte(text.String())
}
