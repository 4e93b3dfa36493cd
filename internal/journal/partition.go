package journal

import "github.com/google/uuid"

// PartitionAmong is the partition, among so many, that every Kafka client's default partitioner
// chooses for a wallet's key: murmur2 of the canonical text, sign bit dropped,
// modulo the number of partitions.
func PartitionAmong(walletID uuid.UUID, partitions int32) int32 {
	return int32(murmur2([]byte(walletID.String()))&0x7fffffff) % partitions
}

// murmur2 is Austin Appleby's 32-bit MurmurHash2 (public domain) with the seed
// that Kafka uses.
func murmur2(b []byte) uint32 {
	const m, seed = 0x5bd1e995, 0x9747b28c
	h := seed ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// PartitionOf returns the partition of a wallet's records; 0 before the topic was met.
func (j *Journal) PartitionOf(walletID uuid.UUID) int32 {
	w := j.writer.Load()
	if w == nil {
		return 0
	}
	return PartitionAmong(walletID, w.topic.Partitions)
}

// MayHave reports whether a partition is the one of a wallet's records; true before the topic
// was met.
func (j *Journal) MayHave(partition int32, walletID uuid.UUID) bool {
	w := j.writer.Load()
	return w == nil || PartitionAmong(walletID, w.topic.Partitions) == partition
}

// PartitionCount returns how many partitions the journal has; 0 before the topic was met.
func (j *Journal) PartitionCount() int32 {
	w := j.writer.Load()
	if w == nil {
		return 0
	}
	return w.topic.Partitions
}
