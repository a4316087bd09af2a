package search

import (
	"math"

	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// query is a vector, brought to the kind of the rows that it is compared with.
type query struct {
	own    []float32 // as the caller gave it; nil if that was in quanta or signs
	vector []float32 // own, or scaled where own's length is near an end of float32's range
	quanta []int8
	bits   []uint64

	factor float32 // of Cosine: 1/|vector|, or 1/|quanta|; 0 for a zero vector
	scale  float32 // of quanta
	square float64 // |quanta|^2
	nan    bool    // every score is NaN

	// Memory for vector, quanta and bits.
	scaled    []float32
	quantised []int8
	signs     []uint64
}

// prepare checks q and brings it to the kind of m's rows.
func (p *query) prepare(m *Matrix, metric Metric, q *types.Embedding) error {
	if err := checkSpace(q.Space, m.space); err != nil {
		return err
	}
	p.own, p.nan = q.F32, false
	if p.own != nil {
		if len(p.own) != m.dim {
			return badArgument("query", "%d components, the rows have %d", len(p.own), m.dim)
		}
		p.nan = hasNaN(p.own)
	}
	switch m.kind {
	case F32, F16:
		if p.own == nil {
			return badArgument("query", "no float32 components, which %v rows need", m.kind)
		}
		p.prepareFloat(metric)
		return nil
	case I8:
		return p.prepareI8(m, q)
	}
	return p.prepareBits(m, q)
}

func (p *query) prepareFloat(metric Metric) {
	p.vector = p.own
	if metric != Cosine || p.nan {
		return
	}
	switch n := norm(p.own); {
	case n == 0:
		p.factor = 0
	case n >= shortest && n <= longest:
		p.factor = float32(1 / n)
	case math.IsInf(n, 1): // as in metrics.Cosine
		p.nan = true
	default:
		p.scaled = resize(p.scaled, len(p.own))
		for i, x := range p.own {
			p.scaled[i] = float32(float64(x) / n)
		}
		p.vector, p.factor = p.scaled, 1
	}
}

func (p *query) prepareI8(m *Matrix, q *types.Embedding) error {
	switch {
	case p.own != nil:
		p.quantised = resize(p.quantised, m.dim)
		p.quanta = p.quantised
		p.scale = simd.QuantizeF32I8(p.quanta, p.own)
	case q.Scale < 0:
		return badArgument("query", "the scale %v", q.Scale)
	case len(q.I8) == m.dim:
		p.quanta, p.scale = q.I8, q.Scale
	default:
		return badArgument("query", "%d quanta, the rows have %d", len(q.I8), m.dim)
	}
	p.nan = p.nan || p.scale-p.scale != 0
	square := simd.DotI8(p.quanta, p.quanta)
	p.square = float64(square)
	p.factor = inverseNormI8(square, p.scale)
	return nil
}

func (p *query) prepareBits(m *Matrix, q *types.Embedding) error {
	switch {
	case p.own != nil:
		p.signs = resize(p.signs, words(m.dim))
		p.bits = p.signs
		simd.BinarizeF32U64(p.bits, p.own)
	case len(q.Bits) == words(m.dim):
		p.bits = q.Bits
		if m.dim%64 != 0 && p.bits[len(p.bits)-1]>>(m.dim%64) != 0 {
			return badArgument("query", "bits beyond dimension %d", m.dim)
		}
	default:
		return badArgument("query", "%d words of bits, the rows have %d", len(q.Bits), words(m.dim))
	}
	return nil
}

// resize returns n elements, in the memory of v if that is enough.
func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}
