package search

import "math"

// best is a heap of the n best hits so far, the one that ranks last at its root. Their scores are keys:
// high is good.
type best struct {
	hits []Hit
	n    int
}

// worst is the key that a row has to be above to get in, NaN if any gets in.
func (b *best) worst() float32 {
	if len(b.hits) < b.n {
		return float32(math.NaN())
	}
	return b.hits[0].Score
}

// offer takes h in if it is among the n best.
func (b *best) offer(h Hit) {
	if len(b.hits) < b.n {
		b.hits = append(b.hits, h)
		i := len(b.hits) - 1
		for i > 0 && h.ranksAfter(b.hits[(i-1)/2]) {
			b.hits[i] = b.hits[(i-1)/2]
			i = (i - 1) / 2
		}
		b.hits[i] = h
		return
	}
	if b.hits[0].ranksAfter(h) {
		b.sink(h)
	}
}

// sink puts h in the place of the root and restores the order.
func (b *best) sink(h Hit) {
	i := 0
	for {
		c := 2*i + 1
		if c >= len(b.hits) {
			break
		}
		if c+1 < len(b.hits) && b.hits[c+1].ranksAfter(b.hits[c]) {
			c++
		}
		if !b.hits[c].ranksAfter(h) {
			break
		}
		b.hits[i] = b.hits[c]
		i = c
	}
	b.hits[i] = h
}

// finish sorts the hits, best first, makes scores of the keys and returns how many there are.
func (b *best) finish(m Metric) int {
	all := b.hits
	for n := len(all) - 1; n > 0; n-- {
		last := all[0]
		b.hits = all[:n]
		b.sink(all[n])
		all[n] = last
	}
	for i := range all {
		all[i].Score = m.score(all[i].Score)
	}
	return len(all)
}

// score makes a score of a key.
func (m Metric) score(key float32) float32 {
	if m == Euclidean || m == Hamming {
		return 0 - key
	}
	return key
}
