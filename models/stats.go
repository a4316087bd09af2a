package models

import "sync/atomic"

// Stats counts, since Open, what a caller may want to watch.
type Stats struct {
	Truncated uint64 // texts that were longer than the limit, of which the beginning was embedded
	Refused   uint64 // texts that were longer than the limit, under Overflow(Refuse)
}

// Stats returns the counts. Texts of calls that are inside may be in them.
func (m *Model) Stats() Stats {
	return Stats{Truncated: m.counts.truncated.Load(), Refused: m.counts.refused.Load()}
}

// counts are written only for texts that are too long: others do not share a cache line.
type counts struct {
	truncated, refused atomic.Uint64
}
