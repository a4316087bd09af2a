package simd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
)

// gemmShapes are (m, n, k): the products of a small encoder.
var gemmShapes = func() (shapes [][3]int) {
	for _, kn := range [][2]int{{384, 384}, {384, 1536}, {1536, 384}} {
		for _, m := range []int{1, 8, 32, 128, 512} {
			shapes = append(shapes, [3]int{m, kn[1], kn[0]})
		}
	}
	return shapes
}()

// reportPeak runs f, a product of the shape, in turn with the level's peak loop. It reports the fastest
// of both and the median, in operations a nanosecond, and what part of the peak f reached.
func reportPeak(b *testing.B, shape [3]int, loop peak.Loop, f func()) {
	operations := 2 * float64(shape[0]) * float64(shape[1]) * float64(shape[2])
	calls := 1 + int(2e7/operations)
	var best, top float64
	var rates []float64
	for b.Loop() {
		start := time.Now()
		for range calls {
			f()
		}
		rate := operations * float64(calls) / float64(time.Since(start))
		rates = append(rates, rate)
		best = max(best, rate)
		top = max(top, loop.Rate(1))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(best, "GOPS")
	b.ReportMetric(median(rates), "median-GOPS")
	b.ReportMetric(top, "peak-GOPS")
	b.ReportMetric(100*best/top, "%peak")
}

func BenchmarkGemmU8I8(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, l := range cpu.Levels() {
		loop, ok := peak.I8(l)
		if !ok {
			continue
		}
		for _, s := range gemmShapes {
			b.Run(fmt.Sprintf("s32/%v/m=%d,n=%d,k=%d", l, s[0], s[1], s[2]), func(b *testing.B) {
				defer cpu.Use(l, 0)()
				m, n, k := s[0], s[1], s[2]
				a, w, dst := packedU8(randomU8(r, m*k), m, k), packedI8(randomI8(r, n*k), n, k), make([]int32, m*n)
				reportPeak(b, s, loop, func() { GemmU8I8(dst, a, w, m, n, k) })
			})
		}
	}
}

func median(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}
