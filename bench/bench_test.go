package bench

import (
	"cmp"
	"slices"
	"testing"
)

// Benchmark runs every case by itself, without turns: for profiles and for a quick look. Ratios and
// limits come from `go run ./bench/exec`.
func Benchmark(b *testing.B) {
	for _, g := range Groups() {
		for _, c := range g.Cases {
			b.Run(g.Name+"/"+c.Name, func(b *testing.B) {
				round, done, err := c.Open()
				if err != nil {
					b.Fatal(err)
				}
				if done != nil {
					defer done()
				}
				if g.Beside != nil {
					defer g.Beside()()
				}
				var r Result
				for b.Loop() {
					if err := round(r.add); err != nil {
						b.Fatal(err)
					}
				}
				slices.Sort(r.Samples)
				b.ReportMetric(0, "ns/op") // that of a round is left out
				for _, s := range []Stat{Min, Median} {
					b.ReportMetric(r.Stat(s), cmp.Or(c.Unit, "ns")+"-"+string(s))
				}
			})
		}
	}
}
