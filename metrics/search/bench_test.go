package search

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

func BenchmarkTopK(b *testing.B) {
	const dim, k = 384, 10
	r := rand.New(rand.NewPCG(1, 2))
	base := fromF32(b, dim, randomRows(r, 10_000, dim))
	q := embedding(randomRows(r, 1, dim))
	primitives := map[Kind]string{F32: "DotRowsF32", F16: "DotRowsF16", I8: "DotRowsI8", Binary: "HammingRowsU64"}
	for _, level := range cpu.Levels() {
		for _, c := range combinations {
			if c.metric != Cosine && c.metric != Hamming || !runsAt(primitives[c.kind], level) {
				continue
			}
			m := base
			if c.kind != F32 {
				m = quantize(b, base, c.kind)
			}
			for _, n := range []int{1000, 10_000} {
				b.Run(fmt.Sprintf("%v/%v/%v/%dx%d", level, c.kind, c.metric, n, dim), func(b *testing.B) {
					defer cpu.Use(level, 0)()
					s, dst := &Searcher{Metric: c.metric}, make([]Hit, k)
					rows := Range{0, n}
					for b.Loop() {
						if _, err := s.TopK(b.Context(), m, rows, q, dst); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// runsAt says whether the primitive has code of its own at that level.
func runsAt(name string, l cpu.Level) bool {
	defer cpu.Use(l, 0)()
	for _, p := range cpu.Primitives() {
		if p.Name == name {
			return p.Level() == l
		}
	}
	return false
}
