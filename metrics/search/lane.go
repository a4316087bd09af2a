package search

import (
	"math"
	"math/bits"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/simd"
)

// lane is what one goroutine of a search needs.
type lane struct {
	scores [blockRows]float32 // of a block, not yet final: see key
	counts [blockRows]int32   // of a block, in int8 quanta or bits
	set    [blockRows / 64]uint64
	wide   []float32 // a row of halves
	best   best
	hits   []Hit // memory for best
	seen   int   // rows that were offered or left out
	err    error
}

// work looks at the rows from, ..., to-1.
func (l *lane) work(j *job, q *query, filter []uint64, from, to int) error {
	block := min(blockRows, max(1, blockBytes/j.m.rowBytes()))
	for from < to {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		for end := min(from+chunkRows, to); from < end; {
			n := min(block, end-from)
			l.block(j, q, filter, from, n)
			from += n
		}
	}
	return j.ctx.Err()
}

// block looks at n rows.
func (l *lane) block(j *job, q *query, filter []uint64, from, n int) {
	wanted := filter == nil || anyBit(filter, from, n)
	if wanted && !q.nan {
		l.score(j, q, from, n)
	}
	switch {
	case j.scores != nil:
		l.keep(j, q, filter, from, n)
	case wanted:
		l.pick(j, q, filter, from, n)
	}
}

// keep writes the scores of a block to those of the job.
func (l *lane) keep(j *job, q *query, filter []uint64, from, n int) {
	dst := j.scores[from-j.rows.From:][:n]
	for i := range dst {
		if filter != nil && word64(filter, from+i)&1 == 0 {
			dst[i] = float32(math.NaN())
			continue
		}
		dst[i] = j.metric.score(l.key(j, q, from+i, i))
	}
}

// pick offers the rows of a block that may be among the best. Which those are is found out for many
// rows at a time, by a threshold that leaves out no row too many; key decides. At first, when there is
// no threshold yet or one that soon gets much better, it is set anew after few rows, then after more
// and more: about n rows are offered each time.
func (l *lane) pick(j *job, q *query, filter []uint64, from, n int) {
	i := 0
	if l.seen == 0 && filter == nil {
		i = l.pickFirst(j, q, from, n)
	}
	for size := 0; i < n; i += size {
		size = max(l.seen, 2*l.best.n, 16)
		size = min(size, n-i)
		l.seen += size
		l.pickSome(j, q, filter, from, i, size)
	}
}

// pickSome is pick for the size rows from i of the block on.
func (l *lane) pickSome(j *job, q *query, filter []uint64, from, i, size int) {
	set := l.set[:(size+63)/64]
	switch worst := l.best.worst(); {
	case q.nan || worst != worst:
		for w := range set {
			set[w] = lowBits(size - 64*w)
		}
	case j.metric == Hamming:
		simd.BelowI32(set, l.counts[i:i+size], int32(-worst))
	case j.metric == Euclidean:
		simd.NotAtLeastF32(set, l.scores[i:i+size], square(worst))
	default:
		simd.NotAtMostF32(set, l.scores[i:i+size], worst)
	}
	l.offer(j, q, filter, set, from, i)
}

// offer offers the rows of set, whose first is row from+i and stands at i of the block.
func (l *lane) offer(j *job, q *query, filter, set []uint64, from, i int) {
	for w, word := range set {
		if filter != nil {
			word &= word64(filter, from+i+64*w)
		}
		for ; word != 0; word &= word - 1 {
			at := i + 64*w + bits.TrailingZeros64(word)
			l.best.offer(Hit{from + at, l.key(j, q, from+at, at)})
		}
	}
}

// pickFirst is pick for the first block of a lane, if a good threshold can be had at once: the block is
// 16 interleaved groups, and n rows at least are as good as the n-th best of their best ones. It
// returns how many rows it is done with, all or none.
func (l *lane) pickFirst(j *job, q *query, from, n int) int {
	k := l.best.n
	if k > 16 || n < 256 || q.nan {
		return 0
	}
	set := l.set[:(n+63)/64]
	switch j.metric {
	case Hamming:
		var group [16]int32
		if simd.MinLanesI32(&group, l.counts[:n]); j.m.lost != nil {
			return 0 // they may be among the best
		}
		for i := range group {
			group[i] = -group[i]
		}
		simd.BelowI32(set, l.counts[:n], 1-nthLargest(&group, k))
	case Euclidean:
		return 0
	default:
		var group [16]float32
		simd.MaxLanesF32(&group, l.scores[:n])
		for _, s := range group {
			if s-s != 0 {
				return 0 // not what key will make of it
			}
		}
		t := nthLargest(&group, k)
		if j.metric == Cosine {
			t = min(t, 1) // as key does
		}
		simd.NotAtMostF32(set, l.scores[:n], math.Nextafter32(t, -math.MaxFloat32))
	}
	l.seen = n
	l.offer(j, q, nil, set, from, 0)
	return n
}

// nthLargest returns the n-th largest of v, without a branch that depends on v.
func nthLargest[T int32 | float32](v *[16]T, n int) T {
	least := v[0]
	found := false
	for _, x := range v {
		larger := 0
		for _, y := range v {
			if y > x {
				larger++
			}
		}
		if larger < n && (!found || x < least) {
			least, found = x, true
		}
	}
	return least
}

// square returns a float32 that no square is below whose root is at least the distance, given as a
// key. Squares at the ends of float32's range are not exact: none is at or beyond the result then,
// which is NaN, or those that are tiny are below it.
func square(key float32) float32 {
	exact := float64(key) * float64(key)
	if exact > math.MaxFloat32/2 {
		return float32(math.NaN())
	}
	s := float32(exact)
	if float64(s) < exact {
		s = math.Nextafter32(s, math.MaxFloat32)
	}
	return max(s, 0x1p-80)
}

// score compares the query with n rows. The results are scores but for what key does.
func (l *lane) score(j *job, q *query, from, n int) {
	m, d := j.m, j.m.stride()
	scores, counts := l.scores[:n], l.counts[:n]
	at, end := from*d, (from+n)*d
	switch m.kind {
	case F32:
		if j.metric == Euclidean {
			simd.L2RowsF32(scores, q.vector, m.f32[at:end])
			return
		}
		simd.DotRowsF32(scores, q.vector, m.f32[at:end])
	case F16:
		if j.metric == Euclidean {
			for i := range scores {
				scores[i] = simd.L2F32(q.vector, l.widen(m, from+i))
			}
			return
		}
		simd.DotRowsF16(scores, q.vector, m.f16[at:end])
	case I8:
		simd.DotRowsI8(counts, q.quanta, m.i8[at:end])
		l.scaleI8(j, q, from, n)
		return
	case Binary:
		simd.HammingRowsU64(counts, q.bits, m.bits[at:end])
		return
	}
	if j.metric == Cosine {
		simd.ScaleF32(scores, scores, m.inverse[from:from+n], q.factor)
	}
}

// scaleI8 makes scores of the sums of products of quanta. The square of a distance is |q|^2 + |row|^2
// - 2 q*row, of which all terms are exact in float64 but for the scales.
func (l *lane) scaleI8(j *job, q *query, from, n int) {
	m, scores, counts := j.m, l.scores[:n], l.counts[:n]
	switch j.metric {
	case Cosine:
		simd.ScaleI32F32(scores, counts, m.inverse[from:from+n], q.factor)
	case Dot:
		simd.ScaleI32F32(scores, counts, m.scale[from:from+n], q.scale)
	case Euclidean:
		own := float64(q.scale)
		for i, c := range counts {
			s := float64(m.scale[from+i])
			d := float64(own*own*q.square) + float64(s*s*float64(m.square[from+i])) - float64(2*own*s*float64(c))
			scores[i] = float32(max(0, d))
		}
	}
}

// key is the final score of row, which stands at i of the block; the negative of it where low scores
// are good.
func (l *lane) key(j *job, q *query, row, i int) float32 {
	m := j.m
	if q.nan || m.kind == Binary && m.isLost(row) {
		return float32(math.NaN())
	}
	if j.metric == Hamming {
		return -float32(l.counts[i])
	}
	switch s := l.scores[i]; j.metric {
	case Euclidean:
		if s > 0x1p-80 && s <= math.MaxFloat32 || m.kind == I8 {
			return -float32(math.Sqrt(float64(s)))
		}
	case Cosine:
		if s-s == 0 {
			return max(-1, min(1, s))
		}
	case Dot:
		if s-s == 0 || m.kind == I8 {
			return s
		}
	}
	return l.exactKey(j, q, row)
}

// exactKey is key for a row of floats that leaves float32's range on the way, by the metrics that
// compute in float64 then.
func (l *lane) exactKey(j *job, q *query, row int) float32 {
	m := j.m
	if m.isLost(row) || m.kind == I8 {
		return float32(math.NaN())
	}
	v := l.row(m, row)
	switch j.metric {
	case Euclidean:
		return -float32(metrics.Euclidean(q.own, v))
	case Cosine:
		return float32(metrics.Cosine(q.own, v))
	}
	return float32(metrics.Dot(q.own, v))
}

// row returns the components of a row of floats.
func (l *lane) row(m *Matrix, row int) []float32 {
	if m.kind == F16 {
		return l.widen(m, row)
	}
	return m.f32[row*m.dim:][:m.dim]
}

// widen returns the components of a row of halves, in memory of the lane.
func (l *lane) widen(m *Matrix, row int) []float32 {
	if cap(l.wide) < m.dim {
		l.wide = make([]float32, m.dim)
	}
	w := l.wide[:m.dim]
	simd.ConvertF16F32(w, m.f16[row*m.dim:][:m.dim])
	return w
}

// rowBytes is the number of bytes that the components of a row take.
func (m *Matrix) rowBytes() int {
	switch m.kind {
	case F32:
		return 4 * m.dim
	case F16:
		return 2 * m.dim
	case I8:
		return m.dim
	}
	return 8 * words(m.dim)
}
