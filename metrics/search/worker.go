package search

import (
	"math"
	"math/bits"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/simd"
)

// worker is what one goroutine of a search needs.
type worker struct {
	scores [blockRows]float32 // of a block, not yet final: see key
	counts [blockRows]int32   // of a block, in int8 quanta or bits
	set    [blockRows / 64]uint64
	odd    [blockRows / 64]uint64 // scratch of above
	wide   []float32              // a row of halves
	best   best
	hits   []Hit // memory for best
	seen   int   // rows that were offered or left out
	err    error
}

// work looks at the rows from, ..., to-1.
func (w *worker) work(j *job, q *query, filter []uint64, from, to int) error {
	for from < to {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		for end := min(from+chunkRows, to); from < end; {
			n := min(blockRows, end-from)
			w.block(j, q, filter, from, n)
			from += n
		}
	}
	return j.ctx.Err()
}

// block looks at n rows.
func (w *worker) block(j *job, q *query, filter []uint64, from, n int) {
	wanted := filter == nil || anyBit(filter, from, n)
	if wanted && !q.nan {
		w.score(j, q, from, n)
	}
	switch {
	case j.scores != nil:
		w.keep(j, q, filter, from, n)
	case wanted:
		w.pick(j, q, filter, from, n)
	}
}

// keep writes the scores of a block to those of the job.
func (w *worker) keep(j *job, q *query, filter []uint64, from, n int) {
	dst := j.scores[from-j.rows.From:][:n]
	for i := range dst {
		if filter != nil && word64(filter, from+i)&1 == 0 {
			dst[i] = float32(math.NaN())
			continue
		}
		dst[i] = j.metric.score(w.key(j, q, from+i, i))
	}
}

// pick offers the rows of a block that may be among the best. Which those are is found out for many
// rows at a time, by a threshold that leaves out no row too many; key decides. At first, when there is
// no threshold yet or one that soon gets much better, it is set anew after few rows, then after more
// and more: about n rows are offered each time.
func (w *worker) pick(j *job, q *query, filter []uint64, from, n int) {
	i := 0
	if w.seen == 0 && filter == nil {
		i = w.pickFirst(j, q, from, n)
	}
	for size := 0; i < n; i += size {
		size = max(w.seen, 2*w.best.n, 16)
		size = min(size, n-i)
		w.seen += size
		w.pickSome(j, q, filter, from, i, size)
	}
}

// pickSome is pick for the size rows from i of the block on.
func (w *worker) pickSome(j *job, q *query, filter []uint64, from, i, size int) {
	set := w.set[:(size+63)/64]
	switch worst := w.best.worst(); {
	case q.nan || worst != worst:
		for i := range set {
			set[i] = lowBits(size - 64*i)
		}
	case j.metric == Hamming:
		simd.BelowI32(set, w.counts[i:i+size], int32(-worst))
	case j.metric == Euclidean:
		simd.NotAtLeastF32(set, w.scores[i:i+size], square(worst))
	default:
		w.above(set, w.scores[i:i+size], worst)
	}
	w.offer(j, q, filter, set, from, i)
}

// above sets the bits of scores that are above t or may be: NaN, and -Inf, which is what a sum that
// overflowed leaves, or a row whose length is no float32. key makes another score of them.
func (w *worker) above(set []uint64, scores []float32, t float32) {
	simd.NotAtMostF32(set, scores, t)
	odd := w.odd[:len(set)]
	simd.NotAtLeastF32(odd, scores, -math.MaxFloat32)
	for i, word := range odd {
		set[i] |= word
	}
}

// offer offers the rows of set, whose first is row from+i and stands at i of the block.
func (w *worker) offer(j *job, q *query, filter, set []uint64, from, i int) {
	for n, word := range set {
		if filter != nil {
			word &= word64(filter, from+i+64*n)
		}
		for ; word != 0; word &= word - 1 {
			at := i + 64*n + bits.TrailingZeros64(word)
			w.best.offer(Hit{from + at, w.key(j, q, from+at, at)})
		}
	}
}

// pickFirst is pick for the first block of a worker, if a good threshold can be had at once: the block
// is 16 interleaved groups, and k rows at least are as good as the k-th best of their best ones. It
// returns how many rows it is done with, all or none.
func (w *worker) pickFirst(j *job, q *query, from, n int) int {
	k := w.best.n
	if k > 16 || n < 256 || q.nan {
		return 0
	}
	set := w.set[:(n+63)/64]
	switch j.metric {
	case Hamming:
		if j.m.lost != nil {
			return 0 // a lost row may be the best of its group
		}
		var group [16]int32
		simd.MinLanesI32(&group, w.counts[:n])
		for i := range group {
			group[i] = -group[i]
		}
		simd.BelowI32(set, w.counts[:n], 1-nthLargest(&group, k))
	case Euclidean:
		return 0 // distances may be equal where their squares are not
	default:
		var group [16]float32
		simd.MaxLanesF32(&group, w.scores[:n])
		for _, s := range group {
			if s-s != 0 {
				return 0 // not what key will make of it
			}
		}
		t := nthLargest(&group, k)
		if j.metric == Cosine {
			// key makes 1 of what is above it, and -1 of what is below.
			if t = min(t, 1); t <= -1 {
				return 0
			}
		}
		w.above(set, w.scores[:n], math.Nextafter32(t, -math.MaxFloat32))
	}
	w.seen = n
	w.offer(j, q, nil, set, from, 0)
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

// square returns a threshold for squares: none at or above it has a root below the distance whose key
// is given. At the ends of float32's range squares are not exact: tiny ones are all below it, and it is
// NaN, which none is at or above, for a distance whose square is huge.
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
func (w *worker) score(j *job, q *query, from, n int) {
	m, d := j.m, j.m.stride()
	scores, counts := w.scores[:n], w.counts[:n]
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
				scores[i] = simd.L2F32(q.vector, w.widen(m, from+i))
			}
			return
		}
		simd.DotRowsF16(scores, q.vector, m.f16[at:end])
	case I8:
		simd.DotRowsI8(counts, q.quanta, m.i8[at:end])
		w.scaleI8(j, q, from, n)
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
func (w *worker) scaleI8(j *job, q *query, from, n int) {
	m, scores, counts := j.m, w.scores[:n], w.counts[:n]
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
func (w *worker) key(j *job, q *query, row, i int) float32 {
	m := j.m
	if q.nan || m.kind == Binary && m.isLost(row) {
		return float32(math.NaN())
	}
	if j.metric == Hamming {
		return -float32(w.counts[i])
	}
	switch s := w.scores[i]; j.metric {
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
	return w.exactKey(j, q, row)
}

// exactKey is key for a row of floats that leaves float32's range on the way, by the metrics that
// compute in float64 then.
func (w *worker) exactKey(j *job, q *query, row int) float32 {
	m := j.m
	if m.isLost(row) || m.kind == I8 {
		return float32(math.NaN())
	}
	v := w.row(m, row)
	switch j.metric {
	case Euclidean:
		return -float32(metrics.Euclidean(q.own, v))
	case Cosine:
		return float32(metrics.Cosine(q.own, v))
	}
	return float32(metrics.Dot(q.own, v))
}

// row returns the components of a row of floats.
func (w *worker) row(m *Matrix, row int) []float32 {
	if m.kind == F16 {
		return w.widen(m, row)
	}
	return m.f32[row*m.dim:][:m.dim]
}

// widen returns the components of a row of halves, in memory of the worker.
func (w *worker) widen(m *Matrix, row int) []float32 {
	if cap(w.wide) < m.dim {
		w.wide = make([]float32, m.dim)
	}
	v := w.wide[:m.dim]
	simd.ConvertF16F32(v, m.f16[row*m.dim:][:m.dim])
	return v
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
