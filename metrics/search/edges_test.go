package search

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/metrics"
)

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

// A row whose dot product or length is beyond float32 is not lost for its score on the way being -Inf.
func TestRowsBeyondFloat32(t *testing.T) {
	far := make([]float32, 128)
	ones := make([]float32, 128)
	for i := range ones {
		ones[i] = 1
	}
	far[0], far[64], far[1], far[2] = -2e38, -2e38, 3e38, 3e38
	for _, c := range []struct {
		metric           Metric
		q, others, best  []float32
		before, dim, all int
	}{
		{Cosine, []float32{1, 0}, []float32{-1, 0}, []float32{-1e20, 1e30}, 16, 2, 17},
		{Cosine, []float32{1, 0}, []float32{-1, 0}, []float32{-1e-30, 1e-20}, 300, 2, 301},
		{Cosine, []float32{1, 0}, []float32{-1, 0}, []float32{-1e-25, 1e-24}, 30_000, 2, 30_001},
		{Dot, ones, make([]float32, 128), far, 16, 128, 17},
		{Dot, ones, make([]float32, 128), far, 3000, 128, 3001},
	} {
		rows := append(slices.Repeat(c.others, c.before), c.best...)
		m := fromF32(t, c.dim, rows)
		s := &Searcher{Metric: c.metric}
		dst := make([]Hit, 1)
		if n, err := s.TopK(t.Context(), m, m.All(), embedding(c.q), dst); n != 1 || err != nil || dst[0].Row != c.before {
			t.Errorf("%v of %d rows: %v, %v, want row %d", c.metric, c.all, dst, err, c.before)
		}
	}

	r := rand.New(rand.NewPCG(91, 92))
	const dim = 3
	wild := func(n int) []float32 {
		v := make([]float32, n*dim)
		for i := range v {
			v[i] = float32(r.NormFloat64() * math.Pow(10, float64(r.IntN(70)-35)))
		}
		return v
	}
	for range 300 {
		base := fromF32(t, dim, wild(1+r.IntN(700)))
		q := embedding(wild(1))
		for _, c := range combinations {
			m := base
			if c.kind != F32 {
				m = quantize(t, base, c.kind)
			}
			s := &Searcher{Metric: c.metric}
			scores := make([]float32, m.Rows())
			if err := s.Scan(t.Context(), m, m.All(), q, scores); err != nil {
				t.Fatal(err)
			}
			want := sorted(c.metric, 0, scores, func(int) bool { return true })
			dst := make([]Hit, 1+r.IntN(20))
			n, err := s.TopK(t.Context(), m, m.All(), q, dst)
			if err != nil || !slices.EqualFunc(dst[:n], want[:min(len(dst), len(want))], sameHit) {
				t.Fatalf("%v, %v, %d rows: %v, %v, want %v", c.kind, c.metric, m.Rows(), dst[:n], err, want[:min(len(dst), len(want))])
			}
		}
	}
}
