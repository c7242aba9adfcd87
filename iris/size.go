package iris

import "ha-iris/internal/rules"

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40
)

// VolumeBytes returns the size of the data volume in bytes, or why iris.size is none.
func (c Config) VolumeBytes() (int64, error) { return rules.ParseSize(c.Size) }
