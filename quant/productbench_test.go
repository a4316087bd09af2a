package quant

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
)

// BenchmarkProducts runs the four products of six layers, whose weights do not fit into the second level
// cache, and reports for each the time of a layer in the fastest pass and its share of the fastest loop of
// multiplications alone.
func BenchmarkProducts(b *testing.B) {
	shape := Shape{Hidden: 384, Heads: 12, Inner: 1536}
	r := rand.New(rand.NewPCG(5, 6))
	var layers [6]*Layer
	for i := range layers {
		layers[i] = randomLayer(r, shape)
	}
	for _, tokens := range []int{8, 16, 32, 128, 512} {
		b.Run(fmt.Sprint(tokens), func(b *testing.B) {
			benchmarkProducts(b, &productCase{shape: shape, tokens: []int{tokens}}, layers[:])
		})
	}
}

func benchmarkProducts(b *testing.B, c *productCase, layers []*Layer) {
	var w Workspace
	var s Scratch
	c.begin(&w, &s)
	ctx, n, h, inner := b.Context(), w.Blocks(), c.shape.Hidden, c.shape.Inner
	stages := [...]struct {
		name string
		work int // multiplications of a row
		run  func(first, end int, l *Layer) error
	}{
		{"Project", 3 * h * h, func(first, end int, l *Layer) error { return w.Project(ctx, first, end, l) }},
		{"Out", h * h, func(first, end int, l *Layer) error { return w.Out(ctx, &s, first, end, l) }},
		{"Up", h * inner, func(first, end int, l *Layer) error { return w.innerQuanta(ctx, &s, first, end, l) }},
		{"Down", inner * h, func(first, end int, l *Layer) error { return w.Down(ctx, &s, first, end, l) }},
	}
	var best [len(stages)]time.Duration
	for b.Loop() {
		var pass [len(stages)]time.Duration
		for _, l := range layers {
			for first := 0; first < n; first += SuperBlock {
				for i, stage := range stages {
					last := min(first+SuperBlock, n)
					if i == 0 {
						if last = n; first > 0 {
							continue
						}
					}
					start := time.Now()
					if err := stage.run(first, last, l); err != nil {
						b.Fatal(err)
					}
					pass[i] += time.Since(start)
				}
			}
		}
		for i, d := range pass {
			if best[i] == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	rate := 0.0
	if loop, ok := peak.I8(cpu.AVX512VNNI); ok {
		rate = loop.Rate(200)
	}
	var all time.Duration
	work := 0
	for i, stage := range stages {
		all += best[i]
		work += stage.work
		b.ReportMetric(float64(best[i])/float64(len(layers))/1e3, stage.name+"-us")
		if rate > 0 {
			b.ReportMetric(100*float64(2*stage.work*n*blockRows*len(layers))/float64(best[i])/rate, stage.name+"-%")
		}
	}
	b.ReportMetric(100*float64(2*work*n*blockRows*len(layers))/float64(all)/rate, "all-%")
	b.ReportMetric(0, "ns/op")
}
