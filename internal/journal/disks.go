package journal

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Disk is the volume that a broker keeps its data on.
type Disk struct {
	Broker      int32
	Bytes, Free int64
}

// Disks asks the brokers for the volumes of their data; a broker that does not
// tell is left out.
func (j *Journal) Disks(ctx context.Context) ([]Disk, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.RequestTimeout)
	defer cancel()
	topic := kadm.TopicsSet{}
	for p := range j.PartitionCount() { // named, each broker that has one is asked; else only one broker is
		topic.Add(j.config.Topic, p)
	}
	if len(topic) == 0 {
		return nil, nil
	}
	all, err := j.admin.DescribeAllLogDirs(ctx, topic)
	var disks []Disk
	all.Each(func(d kadm.DescribedLogDir) {
		if d.Err == nil && d.TotalBytes > 0 && d.UsableBytes >= 0 {
			disks = append(disks, Disk{d.Broker, d.TotalBytes, d.UsableBytes})
		}
	})
	return disks, err
}
