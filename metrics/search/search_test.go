package search

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

const space types.SpaceID = "test space"

var nan, inf = float32(math.NaN()), float32(math.Inf(1))

// eachLevel runs f at every level that this machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, l := range cpu.Levels() {
		t.Run(l.String(), func(t *testing.T) {
			defer cpu.Use(l, 0)()
			f(t)
		})
	}
}

func randomRows(r *rand.Rand, n, dim int) []float32 {
	v := make([]float32, n*dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// oddRows are made to be hard: few values, so that many scores are equal; NaN, infinities, zero
// vectors, and components at both ends of float32's range.
func oddRows(r *rand.Rand, n, dim int) []float32 {
	v := make([]float32, n*dim)
	for i := range n {
		row := v[i*dim:][:dim]
		for j := range row {
			row[j] = float32(r.IntN(5) - 2)
		}
		switch r.IntN(40) {
		case 0:
			clear(row)
		case 1:
			row[r.IntN(dim)] = nan
		case 2:
			row[r.IntN(dim)] = inf
		case 3:
			row[r.IntN(dim)] = -inf
		case 4:
			for j := range row {
				row[j] *= 0x1p-149
			}
		case 5:
			for j := range row {
				row[j] *= 0x1p126
			}
		case 6:
			for j := range row {
				row[j] *= 0x1p-70
			}
		}
	}
	return v
}

func embedding(v []float32) *types.Embedding { return &types.Embedding{F32: v, Space: space} }

func fromF32(t testing.TB, dim int, rows []float32) *Matrix {
	t.Helper()
	m, err := FromF32(space, dim, rows)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func quantize(t testing.TB, m *Matrix, kind Kind) *Matrix {
	t.Helper()
	q, err := m.Quantize(kind)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// plainScore is the score of a row by the words of the documentation, in float64 as far as it goes.
func plainScore(m *Matrix, metric Metric, q []float32, row int) float32 {
	d := m.dim
	var v []float32
	switch m.kind {
	case F32:
		v = m.f32[row*d:][:d]
	case F16:
		v = make([]float32, d)
		simd.ConvertF16F32(v, m.f16[row*d:][:d])
	case I8:
		quanta := make([]int8, d)
		scale := simd.QuantizeF32I8(quanta, q)
		var dot, qq, rr int64
		for j, x := range m.i8[row*d:][:d] {
			dot += int64(x) * int64(quanta[j])
			qq += int64(quanta[j]) * int64(quanta[j])
			rr += int64(x) * int64(x)
		}
		s, rowScale := float64(scale), float64(m.scale[row])
		if s-s != 0 || rowScale-rowScale != 0 {
			return nan
		}
		switch metric {
		case Dot:
			return float32(float32(dot)*m.scale[row]) * scale
		case Cosine:
			if qq == 0 || rr == 0 {
				return 0
			}
			return float32(float64(dot) / math.Sqrt(float64(qq)) / math.Sqrt(float64(rr)))
		}
		d2 := float64(s*s*float64(qq)) + float64(rowScale*rowScale*float64(rr)) - float64(2*s*rowScale*float64(dot))
		return float32(math.Sqrt(float64(float32(max(0, d2)))))
	case Binary:
		signs := make([]uint64, words(d))
		simd.BinarizeF32U64(signs, q)
		n := 0
		for j, x := range m.bits[row*words(d):][:words(d)] {
			n += bits.OnesCount64(x ^ signs[j])
		}
		if m.isLost(row) || slices.ContainsFunc(q, func(x float32) bool { return x != x }) {
			return nan
		}
		return float32(n)
	}
	switch metric {
	case Dot:
		return float32(metrics.Dot(q, v))
	case Cosine:
		return float32(metrics.Cosine(q, v))
	}
	return float32(metrics.Euclidean(q, v))
}

// sorted returns the rows with these scores as a search has to.
func sorted(metric Metric, from int, scores []float32, wanted func(row int) bool) []Hit {
	var all []Hit
	for i, s := range scores {
		if wanted(from + i) {
			all = append(all, Hit{from + i, s})
		}
	}
	slices.SortStableFunc(all, func(a, b Hit) int {
		x, y := a.Score, b.Score
		if metric == Euclidean || metric == Hamming {
			x, y = -x, -y
		}
		switch {
		case x != x && y != y:
			return 0
		case x != x:
			return 1
		case y != y:
			return -1
		}
		return cmp.Compare(y, x)
	})
	return all
}

func sameHit(a, b Hit) bool {
	return a.Row == b.Row && (a.Score == b.Score || a.Score != a.Score && b.Score != b.Score)
}

// spreader runs pieces on goroutines of their own, the last first.
type spreader struct{}

func (spreader) Run(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := n - 1; i >= 0; i-- {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

var combinations = []struct {
	kind   Kind
	metric Metric
}{
	{F32, Cosine}, {F32, Dot}, {F32, Euclidean},
	{F16, Cosine}, {F16, Dot}, {F16, Euclidean},
	{I8, Cosine}, {I8, Dot}, {I8, Euclidean},
	{Binary, Hamming},
}

// All searches give what sorting all scores gives.
func TestAgainstSorting(t *testing.T) { eachLevel(t, testAgainstSorting) }

func testAgainstSorting(t *testing.T) {
	ctx := t.Context()
	for _, dim := range []int{1, 5, 100} {
		for _, n := range []int{0, 1, 64, 500, chunkRows + 77} {
			r := rand.New(rand.NewPCG(uint64(dim), uint64(n)))
			for _, odd := range []bool{false, true} {
				rows := randomRows(r, n, dim)
				q := randomRows(r, 1, dim)
				if odd {
					rows, q = oddRows(r, n, dim), oddRows(r, 1, dim)
				}
				base := fromF32(t, dim, rows)
				for _, c := range combinations {
					m := base
					if c.kind != F32 {
						m = quantize(t, base, c.kind)
					}
					name := fmt.Sprintf("%v, %v, (%d, %d), odd %v", c.kind, c.metric, n, dim, odd)
					s := &Searcher{Metric: c.metric}
					scores := make([]float32, n)
					if err := s.Scan(ctx, m, m.All(), embedding(q), scores); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					for i, got := range scores {
						want := plainScore(m, c.metric, q, i)
						tolerance := float64(0)
						if c.metric == Cosine {
							tolerance = (float64(dim/64) + 10) * 0x1p-23
						}
						if !(got == want || math.Abs(float64(got)-float64(want)) <= tolerance || got != got && want != want) {
							t.Fatalf("%s: row %d has score %v, want %v", name, i, got, want)
						}
					}
					checkTopK(t, name, r, s, m, q, scores)
				}
			}
		}
	}
}

// checkTopK compares TopK with sorted scores, for some numbers of hits, ranges, filters and runners.
func checkTopK(t *testing.T, name string, r *rand.Rand, s *Searcher, m *Matrix, q []float32, scores []float32) {
	t.Helper()
	n := m.Rows()
	for _, k := range []int{0, 1, 10, 17, n + 3} {
		for try := range 4 {
			rows := m.All()
			if try%2 == 1 {
				rows.From = r.IntN(n + 1)
				rows.To = rows.From + r.IntN(n-rows.From+1)
			}
			wanted := func(int) bool { return true }
			s.Filter, s.Runner = nil, nil
			if try >= 2 {
				s.Runner = spreader{}
				s.Filter = make([]uint64, (n+63)/64)
				for i := range s.Filter {
					if r.IntN(4) != 0 {
						s.Filter[i] = r.Uint64() & r.Uint64()
					}
				}
				wanted = func(row int) bool { return s.Filter[row/64]>>(row%64)&1 != 0 }
			}
			want := sorted(s.Metric, rows.From, scores[rows.From:rows.To], wanted)
			want = want[:min(k, len(want))]
			dst := make([]Hit, k)
			got, err := s.TopK(t.Context(), m, rows, embedding(q), dst)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !slices.EqualFunc(dst[:got], want, sameHit) {
				t.Fatalf("%s, rows %v, filter %v, %d best: got %v, want %v", name, rows, s.Filter != nil, k, clip(dst[:got]), clip(want))
			}

			part := make([]float32, rows.To-rows.From)
			if err := s.Scan(t.Context(), m, rows, embedding(q), part); err != nil {
				t.Fatal(err)
			}
			for i, got := range part {
				want := scores[rows.From+i]
				if !wanted(rows.From + i) {
					want = nan
				}
				if !(got == want || got != got && want != want) {
					t.Fatalf("%s, rows %v, filter %v: row %d has score %v, want %v", name, rows, s.Filter != nil, rows.From+i, got, want)
				}
			}
		}
	}
}

func clip(h []Hit) []Hit { return h[:min(len(h), 20)] }

// A search over several workers gives what one worker gives; the matrix is large enough for each to have
// some.
func TestSpread(t *testing.T) {
	const n, dim = 40_000, 48
	r := rand.New(rand.NewPCG(1, 2))
	base := fromF32(t, dim, oddRows(r, n, dim))
	q := embedding(randomRows(r, 1, dim))
	for _, c := range combinations {
		m := base
		if c.kind != F32 {
			m = quantize(t, base, c.kind)
		}
		alone, spread := &Searcher{Metric: c.metric}, &Searcher{Metric: c.metric, Runner: spreader{}}
		rows := Range{77, n - 3}
		a, b := make([]Hit, 300), make([]Hit, 300)
		if _, err := alone.TopK(t.Context(), m, rows, q, a); err != nil {
			t.Fatal(err)
		}
		if _, err := spread.TopK(t.Context(), m, rows, q, b); err != nil {
			t.Fatal(err)
		}
		if c.kind != Binary && len(spread.workers) < 2 {
			t.Errorf("%v: %d workers", c.kind, len(spread.workers))
		}
		if !slices.EqualFunc(a, b, sameHit) {
			t.Errorf("%v, %v: several workers find other rows than one", c.kind, c.metric)
		}
		x, y := make([]float32, n-80), make([]float32, n-80)
		if err := errors.Join(alone.Scan(t.Context(), m, rows, q, x), spread.Scan(t.Context(), m, rows, q, y)); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(x, y, func(a, b float32) bool { return a == b || a != a && b != b }) {
			t.Errorf("%v, %v: several workers give other scores than one", c.kind, c.metric)
		}
	}
}

func TestRerank(t *testing.T) { eachLevel(t, testRerank) }

func testRerank(t *testing.T) {
	const n, dim, k = 3000, 96, 10
	r := rand.New(rand.NewPCG(3, 4))
	base := fromF32(t, dim, randomRows(r, n, dim))
	q := embedding(randomRows(r, 1, dim))
	for _, kind := range []Kind{Binary, I8, F16} {
		for _, metric := range []Metric{Cosine, Dot, Euclidean} {
			coarse := quantize(t, base, kind)
			rows := Range{100, n - 100}
			s := &Searcher{Metric: metric}
			first := &Searcher{Metric: metric}
			if kind == Binary {
				first.Metric = Hamming
			}
			for _, candidates := range []int{k, 40, n, 2 * n} {
				// The candidates by a search, their order by sorting their exact scores.
				scores := make([]float32, n)
				if err := s.Scan(t.Context(), base, base.All(), q, scores); err != nil {
					t.Fatal(err)
				}
				found := make([]Hit, candidates)
				c, err := first.TopK(t.Context(), coarse, rows, q, found)
				if err != nil {
					t.Fatal(err)
				}
				in := map[int]bool{}
				for _, h := range found[:c] {
					in[h.Row] = true
				}
				want := sorted(metric, 0, scores, func(row int) bool { return in[row] })[:k]
				dst := make([]Hit, k)
				got, err := s.TopKRerank(t.Context(), coarse, base, rows, q, candidates, dst)
				if err != nil || !slices.EqualFunc(dst[:got], want, sameHit) {
					t.Errorf("%v, %v, %d candidates: %v, %v, want %v", kind, metric, candidates, dst[:got], err, want)
				}
			}
			if got, err := s.TopKRerank(t.Context(), coarse, base, rows, q, 5, nil); got != 0 || err != nil {
				t.Errorf("no hits wanted: %d, %v", got, err)
			}
		}
	}
}

// A query may come in the form of the rows.
func TestQueryForms(t *testing.T) {
	const n, dim = 500, 70
	r := rand.New(rand.NewPCG(5, 6))
	base := fromF32(t, dim, randomRows(r, n, dim))
	v := randomRows(r, 1, dim)
	quanta, signs := make([]int8, dim), make([]uint64, words(dim))
	scale := simd.QuantizeF32I8(quanta, v)
	simd.BinarizeF32U64(signs, v)
	for _, c := range []struct {
		kind   Kind
		metric Metric
		q      types.Embedding
	}{
		{I8, Cosine, types.Embedding{I8: quanta, Scale: scale, Space: space}},
		{I8, Dot, types.Embedding{I8: quanta, Scale: scale, Space: space}},
		{I8, Euclidean, types.Embedding{I8: quanta, Scale: scale, Space: space}},
		{Binary, Hamming, types.Embedding{Bits: signs, Space: space}},
	} {
		m, s := quantize(t, base, c.kind), &Searcher{Metric: c.metric}
		a, b := make([]Hit, 20), make([]Hit, 20)
		_, err1 := s.TopK(t.Context(), m, m.All(), embedding(v), a)
		_, err2 := s.TopK(t.Context(), m, m.All(), &c.q, b)
		if err := errors.Join(err1, err2); err != nil || !slices.Equal(a, b) {
			t.Errorf("%v, %v: %v; %v from floats, %v from the quantised", c.kind, c.metric, err, a, b)
		}
	}
}
