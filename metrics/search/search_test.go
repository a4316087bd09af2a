package search

import (
	"cmp"
	"context"
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

// A NaN never ranks first: not that of a row, whatever became of it, and a query with one finds the
// first rows.
func TestNaNRanksLast(t *testing.T) {
	const n, dim = 400, 32
	r := rand.New(rand.NewPCG(7, 8))
	rows, q := randomRows(r, n, dim), randomRows(r, 1, dim)
	for i := range 150 { // the query itself, but for the NaN
		copy(rows[i*dim:][:dim], q)
		rows[i*dim+r.IntN(dim)] = nan
	}
	base := fromF32(t, dim, rows)
	for _, c := range combinations {
		m := base
		if c.kind != F32 {
			m = quantize(t, base, c.kind)
		}
		s := &Searcher{Metric: c.metric}
		for _, k := range []int{10, 260} {
			dst := make([]Hit, k)
			if got, err := s.TopK(t.Context(), m, m.All(), embedding(q), dst); got != k || err != nil {
				t.Fatal(got, err)
			}
			for i, h := range dst {
				if isNaN := h.Score != h.Score; isNaN != (i >= 250) || isNaN && h.Row != i-250 || !isNaN && h.Row < 150 {
					t.Errorf("%v, %v: hit %d is row %d with %v", c.kind, c.metric, i, h.Row, h.Score)
				}
			}
		}

		dst := make([]Hit, 60)
		broken := slices.Clone(q)
		broken[3] = nan
		if got, err := s.TopK(t.Context(), m, Range{20, n}, embedding(broken), dst); got != 60 || err != nil {
			t.Fatal(got, err)
		}
		for i, h := range dst {
			if h.Row != 20+i || h.Score == h.Score {
				t.Errorf("%v, %v, NaN in the query: hit %d is row %d with %v", c.kind, c.metric, i, h.Row, h.Score)
			}
		}
	}
}

// The best rows are one of each of the groups of the first threshold, and no others are nearly as good.
func TestFewGoodRows(t *testing.T) {
	const n = 1000
	rows := make([]float32, n)
	for i := range rows {
		rows[i] = float32(-i)
		if i < 16 {
			rows[i] = float32(1000 - i)
		}
	}
	m := fromF32(t, 1, rows)
	s := &Searcher{Metric: Dot}
	for k := range 40 {
		dst := make([]Hit, k)
		got, err := s.TopK(t.Context(), m, m.All(), embedding([]float32{1}), dst)
		if err != nil || got != k {
			t.Fatalf("%d best: %d, %v", k, got, err)
		}
		for i, h := range dst {
			if h != (Hit{i, rows[i]}) {
				t.Errorf("%d best: hit %d is %v", k, i, h)
			}
		}
	}
}

// A cosine is the same however long the vectors are, and stays within -1 and 1.
func TestCosineOfAllLengths(t *testing.T) {
	const dim = 70
	r := rand.New(rand.NewPCG(11, 12))
	base := randomRows(r, 3, dim)
	copy(base[2*dim:], base[:dim])
	exponents := []int{-130, -100, -70, -61, -59, -1, 0, 59, 61, 70, 100, 120}
	var rows []float32
	for _, e := range exponents {
		for _, x := range base {
			rows = append(rows, float32(math.Ldexp(float64(x), e)))
		}
	}
	m := fromF32(t, dim, rows)
	s := &Searcher{}
	scores := make([]float32, m.Rows())
	for _, e := range exponents {
		for sign := float64(-1); sign <= 1; sign += 2 {
			q := make([]float32, dim)
			for i, x := range base[:dim] {
				q[i] = float32(math.Ldexp(sign*float64(x), e))
			}
			if err := s.Scan(t.Context(), m, m.All(), embedding(q), scores); err != nil {
				t.Fatal(err)
			}
			for i, got := range scores {
				want := metrics.Cosine(q, rows[i*dim:][:dim])
				if !(math.Abs(float64(got)-want) <= 12*0x1p-23) || got < -1 || got > 1 {
					t.Errorf("query of 2^%d, row of 2^%d: %v, want %v", e, exponents[i/3], got, want)
				}
			}
		}
	}
}

// Cosines of one direction, and of the opposite one, are 1 and -1 but for rounding; those that rounding
// takes beyond are equal.
func TestCosineStaysInRange(t *testing.T) {
	const n = 300
	r := rand.New(rand.NewPCG(15, 16))
	s, scores, dst := &Searcher{}, make([]float32, n), make([]Hit, 10)
	atEnd := 0
	for dim := 1; dim < 100; dim++ {
		q := randomRows(r, 1, dim)
		for _, sign := range []float32{-1, 1} {
			rows := make([]float32, 0, n*dim)
			for range n {
				scale := sign * (r.Float32() + 0.1)
				for _, x := range q {
					rows = append(rows, x*scale)
				}
			}
			m := fromF32(t, dim, rows)
			if err := s.Scan(t.Context(), m, m.All(), embedding(q), scores); err != nil {
				t.Fatal(err)
			}
			for i, got := range scores {
				if got < -1 || got > 1 || math.Abs(float64(got-sign)) > 12*0x1p-23 {
					t.Errorf("dimension %d: row %d has %v", dim, i, got)
				}
				if got == sign {
					atEnd++
				}
			}
			if _, err := s.TopK(t.Context(), m, m.All(), embedding(q), dst); err != nil {
				t.Fatal(err)
			}
			if want := sorted(Cosine, 0, scores, func(int) bool { return true }); !slices.Equal(dst, want[:10]) {
				t.Errorf("dimension %d: got %v, want %v", dim, dst, want[:10])
			}
		}
	}
	if atEnd == 0 {
		t.Error("no cosine is at the end of the range")
	}
}

// A square at the threshold or above has a root at the distance or above.
func TestSquare(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 100_000 {
		d := float32(math.Exp2(r.Float64()*150 - 80))
		s := square(-d)
		if s != s {
			if d < 0x1p63 {
				t.Fatalf("no threshold for %v", d)
			}
			continue
		}
		if root := float32(math.Sqrt(float64(s))); root < d {
			t.Fatalf("%v: a square of %v has the root %v", d, s, root)
		}
		if s != 0x1p-80 && float32(math.Sqrt(float64(math.Nextafter32(s, 0)))) > d {
			t.Fatalf("%v: %v is not the least threshold", d, s)
		}
		if s < 0x1p-80 {
			t.Fatalf("%v: the threshold is %v, where squares are not exact", d, s)
		}
	}
}

// Distances that float32 has, with squares that it has not.
func TestFarAndNear(t *testing.T) {
	for _, unit := range []float32{0x1p-100, 0x1p70} {
		rows := make([]float32, 600)
		for i := range rows {
			rows[i] = unit * float32(i*7%600)
		}
		m := fromF32(t, 1, rows)
		s := &Searcher{Metric: Euclidean}
		dst := make([]Hit, 5)
		if _, err := s.TopK(t.Context(), m, m.All(), embedding([]float32{0}), dst); err != nil {
			t.Fatal(err)
		}
		for i, h := range dst {
			if h.Score != unit*float32(i) || rows[h.Row] != h.Score {
				t.Errorf("unit %v: hit %d is %v", unit, i, h)
			}
		}
	}
}

func TestBadArguments(t *testing.T) {
	base := fromF32(t, 4, make([]float32, 400))
	signs := quantize(t, base, Binary)
	q := embedding(make([]float32, 4))
	hits, scores := make([]Hit, 3), make([]float32, 100)
	ctx := t.Context()
	for _, c := range []struct {
		name string
		f    func(s *Searcher) error
	}{
		{"rows", func(s *Searcher) error { _, err := s.TopK(ctx, base, Range{-1, 4}, q, hits); return err }},
		{"rows", func(s *Searcher) error { _, err := s.TopK(ctx, base, Range{4, 3}, q, hits); return err }},
		{"rows", func(s *Searcher) error { _, err := s.TopK(ctx, base, Range{0, 101}, q, hits); return err }},
		{"dst", func(s *Searcher) error { return s.Scan(ctx, base, base.All(), q, scores[1:]) }},
		{"Filter", func(s *Searcher) error { s.Filter = []uint64{1}; return s.Scan(ctx, base, base.All(), q, scores) }},
		{"Metric", func(s *Searcher) error { s.Metric = Hamming; return s.Scan(ctx, base, base.All(), q, scores) }},
		{"Metric", func(s *Searcher) error { return s.Scan(ctx, signs, signs.All(), q, scores) }},
		{"Metric", func(s *Searcher) error { s.Metric = 9; return s.Scan(ctx, base, base.All(), q, scores) }},
		{"query", func(s *Searcher) error {
			return s.Scan(ctx, base, base.All(), embedding(make([]float32, 5)), scores)
		}},
		{"query", func(s *Searcher) error {
			return s.Scan(ctx, base, base.All(), &types.Embedding{Bits: []uint64{1}, Space: space}, scores)
		}},
		{"query", func(s *Searcher) error {
			s.Metric = Hamming
			return s.Scan(ctx, signs, signs.All(), &types.Embedding{Bits: []uint64{16}, Space: space}, scores)
		}},
		{"query", func(s *Searcher) error {
			s.Metric = Hamming
			return s.Scan(ctx, signs, signs.All(), &types.Embedding{Bits: []uint64{1, 2}, Space: space}, scores)
		}},
		{"query", func(s *Searcher) error {
			i8 := quantize(t, base, I8)
			return s.Scan(ctx, i8, i8.All(), &types.Embedding{I8: make([]int8, 3), Space: space}, scores)
		}},
		{"candidates", func(s *Searcher) error {
			_, err := s.TopKRerank(ctx, signs, base, base.All(), q, 2, hits)
			return err
		}},
		{"coarse", func(s *Searcher) error {
			few := fromF32(t, 4, make([]float32, 396))
			_, err := s.TopKRerank(ctx, few, base, few.All(), q, 5, hits)
			return err
		}},
		{"Metric", func(s *Searcher) error {
			_, err := s.TopKRerank(ctx, base, signs, base.All(), q, 5, hits)
			return err
		}},
		{"dim", func(*Searcher) error { _, err := FromF32(space, 0, nil); return err }},
		{"dim", func(*Searcher) error { _, err := FromI8(space, MaxDim+1, nil, nil); return err }},
		{"rows", func(*Searcher) error { _, err := FromF16(space, 3, make([]simd.Float16, 4)); return err }},
		{"rows", func(*Searcher) error { _, err := FromBits(space, 63, []uint64{1, 1 << 63}); return err }},
		{"scales", func(*Searcher) error { _, err := FromI8(space, 2, make([]int8, 4), make([]float32, 1)); return err }},
		{"scales", func(*Searcher) error { _, err := FromI8(space, 1, make([]int8, 2), []float32{0, -1}); return err }},
		{"space", func(*Searcher) error {
			_, err := FromF32(types.SpaceID(make([]byte, maxSpace+1)), 1, nil)
			return err
		}},
		{"matrix", func(*Searcher) error { _, err := signs.Quantize(F16); return err }},
		{"kind", func(*Searcher) error { _, err := base.Quantize(9); return err }},
	} {
		var bad *ArgumentError
		if err := c.f(&Searcher{}); !errors.As(err, &bad) || bad.Name != c.name || bad.Reason == "" {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	var wrong *types.SpaceError
	s := &Searcher{}
	if err := s.Scan(ctx, base, base.All(), &types.Embedding{F32: make([]float32, 4), Space: "other"}, scores); !errors.As(err, &wrong) || wrong.A != "other" || wrong.B != space {
		t.Errorf("a query of another space: %v", err)
	}
	other, err := FromBits("other", 4, make([]uint64, 100))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.TopKRerank(ctx, other, base, base.All(), q, 5, hits); !errors.As(err, &wrong) {
		t.Errorf("matrices of two spaces: %v", err)
	}
}

// endingCtx is done after a number of looks at it.
type endingCtx struct {
	context.Context
	looks int
}

func (c *endingCtx) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancel(t *testing.T) {
	const n = 5*chunkRows + 1
	base := fromF32(t, 2, make([]float32, 2*n))
	q := embedding([]float32{1, 2})
	signs := quantize(t, base, Binary)
	s := &Searcher{}
	for looks := range 7 { // before each of 6 chunks, and at the end
		ctx := &endingCtx{t.Context(), looks}
		if _, err := s.TopK(ctx, base, base.All(), q, make([]Hit, 10)); !errors.Is(err, context.Canceled) {
			t.Errorf("TopK, %d looks: %v", looks, err)
		}
		ctx = &endingCtx{t.Context(), looks}
		scores := make([]float32, n)
		for i := range scores {
			scores[i] = 7
		}
		if err := s.Scan(ctx, base, base.All(), q, scores); !errors.Is(err, context.Canceled) {
			t.Errorf("Scan, %d looks: %v", looks, err)
		}
		if done := slices.Index(scores, 7); looks < 6 && done != looks*chunkRows {
			t.Errorf("Scan, %d looks: %d rows have a score", looks, done)
		}
	}
	if _, err := s.TopK(&endingCtx{t.Context(), 7}, base, base.All(), q, make([]Hit, 10)); err != nil {
		t.Errorf("7 looks: %v", err)
	}
	for looks := range 9 { // as above, and before the second pass
		ctx := &endingCtx{t.Context(), looks}
		_, err := s.TopKRerank(ctx, signs, base, base.All(), q, 100, make([]Hit, 10))
		if errors.Is(err, context.Canceled) != (looks < 8) {
			t.Errorf("TopKRerank, %d looks: %v", looks, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	s.Runner = spreader{}
	wide := fromF32(t, 128, make([]float32, 128*n))
	if _, err := s.TopK(cancelled, wide, wide.All(), embedding(make([]float32, 128)), make([]Hit, 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("spread: %v", err)
	}
	if _, err := s.TopK(cancelled, base, Range{}, q, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing to do: %v", err)
	}
	if s.job.ctx != nil || s.job.m != nil || s.query.own != nil {
		t.Error("the Searcher keeps what belongs to its caller")
	}
}

// inline runs pieces one after the other.
type inline struct{}

func (inline) Run(n int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

func TestSearchesDoNotAllocate(t *testing.T) {
	const n, dim = 10_000, 96
	r := rand.New(rand.NewPCG(9, 10))
	base := fromF32(t, dim, oddRows(r, n, dim))
	signs := quantize(t, base, Binary)
	ctx := t.Context()
	filter := make([]uint64, (n+63)/64)
	for i := range filter {
		filter[i] = r.Uint64()
	}
	dst, scores := make([]Hit, 20), make([]float32, n)
	queries := make([]*types.Embedding, 7)
	for i := range queries {
		queries[i] = embedding(oddRows(r, 1, dim))
	}
	for _, c := range combinations {
		m := base
		if c.kind != F32 {
			m = quantize(t, base, c.kind)
		}
		s := &Searcher{Metric: c.metric, Runner: inline{}}
		i := 0
		allocs := testing.AllocsPerRun(20, func() {
			q := queries[i%len(queries)]
			if i++; i%2 == 0 {
				s.Filter = filter
			} else {
				s.Filter = nil
			}
			if _, err := s.TopK(ctx, m, m.All(), q, dst[:len(dst)-i%len(dst)]); err != nil {
				t.Fatal(err)
			}
			if err := s.Scan(ctx, m, m.All(), q, scores); err != nil {
				t.Fatal(err)
			}
			if c.kind == F32 {
				if _, err := s.TopKRerank(ctx, signs, m, m.All(), q, 100, dst); err != nil {
					t.Fatal(err)
				}
			}
		})
		if allocs != 0 {
			t.Errorf("%v, %v: %v allocations", c.kind, c.metric, allocs)
		}
	}
}
