package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

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
		{"query", func(s *Searcher) error {
			i8 := quantize(t, base, I8)
			return s.Scan(ctx, i8, i8.All(), &types.Embedding{I8: make([]int8, 4), Scale: -1, Space: space}, scores)
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

// A level that this machine lacks is told by whatever makes a matrix.
func TestWrongLevel(t *testing.T) {
	if os.Getenv("MAI_CPU") == "abacus" {
		_, from := FromF32(space, 1, []float32{1})
		_, open := Open("no such file")
		fmt.Println(from)
		fmt.Println(open)
		os.Exit(0)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongLevel$")
	child.Env = append(os.Environ(), "MAI_CPU=abacus")
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(out), "MAI_CPU=abacus: there is no such level") != 2 {
		t.Errorf("FromF32 and Open said:\n%s", out)
	}
}
