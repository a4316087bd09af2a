package quant

import (
	"fmt"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
	"github.com/maida-ai/gomai/simd"
)

// Each stage of rows of one layer of all-MiniLM-L6-v2, at the level that runs, and for attention the share of
// the peak of that level that its products reach.
func BenchmarkStages(b *testing.B) {
	shape := Shape{Hidden: 384, Heads: 12, Inner: 1536}
	for _, tokens := range []int{8, 32, 128, 512} {
		var w Workspace
		var s Scratch
		c := stageCase{shape: shape, tokens: []int{tokens}, spread: 20, seed: 1}
		l := c.begin(&w, &s)
		words, positions := make([]simd.Float16, 30000*shape.Hidden), make([]float32, tokens*shape.Hidden)
		ids := [][]int32{make([]int32, tokens)}
		for i := range ids[0] {
			ids[0][i] = int32(i * 7919 % 30000)
		}
		super := func(f func(first, end int)) {
			for first := 0; first < w.Blocks(); first += SuperBlock {
				f(first, min(first+SuperBlock, w.Blocks()))
			}
		}
		dst := make([]float32, tokens*shape.Hidden)
		for _, stage := range []struct {
			name string
			run  func()
		}{
			{"Attend", func() {
				w.SumKeys(0, w.Texts())
				super(func(first, end int) {
					if err := w.attendTexts(b.Context(), &s, first, end, l); err != nil {
						b.Fatal(err)
					}
				})
			}},
			{"Context", func() {
				super(func(first, end int) {
					for at := range end - first {
						w.contextBlock(&s, at)
					}
				})
			}},
			{"Norm", func() { w.Norm(0, w.Blocks(), &l.AttentionNorm) }},
			{"Inner", func() {
				super(func(first, end int) {
					for at := range end - first {
						w.innerBlock(&s, at, l)
					}
				})
			}},
			{"Embed", func() { w.Embed(0, w.Blocks(), &l.AttentionNorm, words, positions, ids) }},
			{"States", func() { w.States(0, dst) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", stage.name, tokens), func(b *testing.B) {
				for b.Loop() {
					stage.run()
				}
				b.ReportAllocs()
				if loop, ok := peak.I8(encoderCode.Level()); ok && stage.name == "Attend" && encoderCode.Level() != cpu.Generic {
					operations := 4 * float64(tokens) * float64(tokens) * float64(shape.Hidden)
					took := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
					b.ReportMetric(100*operations/took/loop.Rate(50), "%peak")
				}
			})
		}
	}
}
