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
	for _, level := range cpu.Levels() {
		for _, c := range combinations {
			if c.metric != Cosine && c.metric != Hamming {
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
