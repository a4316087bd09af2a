package simd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

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

// BenchmarkGemmU8I8 names the levels at which tiles are computed; epilogues run at what a level has.
func BenchmarkGemmU8I8(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, l := range cpu.Levels() {
		loop, ok := peak.I8(l)
		if !ok {
			continue
		}
		for _, s := range gemmShapes {
			m, n, k := s[0], s[1], s[2]
			restore := cpu.Use(l, 0)
			c := newEpilogueInput(r, m, n, k)
			restore()
			e := &Epilogue{Scale: c.columns, Offset: c.columns, Bias: c.columns, RowScale: c.rows, RowOffset: c.rows}
			gelu := *e
			gelu.Activation = Gelu
			q := &Quanta{Inverse: []float32{3}}
			i32, f32, bf16, u8 := make([]int32, m*n), make([]float32, m*n), make([]BFloat16, m*n), make([]uint8, m*n)
			for _, to := range []struct {
				name string
				f    func()
			}{
				{"s32", func() { GemmU8I8(i32, c.a, c.w, m, n, k) }},
				{"f32", func() { GemmU8I8F32(f32, c.a, c.w, m, n, k, e) }},
				{"bf16", func() { GemmU8I8BF16(bf16, c.a, c.w, m, n, k, e) }},
				{"u8", func() { GemmU8I8U8(u8, c.a, c.w, m, n, k, e, q) }},
				{"u8-gelu", func() { GemmU8I8U8(u8, c.a, c.w, m, n, k, &gelu, q) }},
			} {
				b.Run(fmt.Sprintf("%s/%v/m=%d,n=%d,k=%d", to.name, l, m, n, k), func(b *testing.B) {
					defer cpu.Use(l, 0)()
					reportPeak(b, s, loop, to.f)
				})
			}
		}
	}
}

// An epilogueInput is random, its coefficients those of an int8 model in size.
type epilogueInput struct {
	a             []uint8
	w             []int8
	rows, columns []float32
}

func newEpilogueInput(r *rand.Rand, m, n, k int) epilogueInput {
	c := epilogueInput{packedU8(randomU8(r, m*k), m, k), packedI8(randomI8(r, n*k), n, k), make([]float32, m), make([]float32, n)}
	for i := range c.rows {
		c.rows[i] = r.Float32() / 100
	}
	for i := range c.columns {
		c.columns[i] = r.Float32() / 1000
	}
	return c
}

func median(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}

// BenchmarkGemmU8I8Cold multiplies by one weight matrix after the other, 10.6 MB in all, as an encoder
// does: they come from the third level cache.
func BenchmarkGemmU8I8Cold(b *testing.B) {
	const n, k, matrices = 384, 384, 72
	r := rand.New(rand.NewPCG(2, 2))
	all := randomI8(r, matrices*n*k)
	dst := make([]float32, 512*n)
	for _, l := range cpu.Levels() {
		loop, ok := peak.I8(l)
		if !ok {
			continue
		}
		for _, m := range []int{1, 8, 16, 32, 64, 128} {
			b.Run(fmt.Sprintf("f32/%v/m=%d", l, m), func(b *testing.B) {
				defer cpu.Use(l, 0)()
				c := newEpilogueInput(r, m, n, k)
				e := &Epilogue{Scale: c.columns, Offset: c.columns, Bias: c.columns, RowScale: c.rows, RowOffset: c.rows}
				reportPeak(b, [3]int{m, matrices * n, k}, loop, func() {
					for i := range matrices {
						GemmU8I8F32(dst[:m*n], c.a, all[i*n*k:][:n*k], m, n, k, e)
					}
				})
			})
		}
	}
}

func BenchmarkGemmF32(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 3))
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = r.Float32() - 0.5
		}
		return v
	}
	for _, l := range cpu.Levels() {
		loop, ok := peak.F32(l)
		if !ok {
			continue
		}
		for _, s := range gemmShapes {
			m, n, k := s[0], s[1], s[2]
			b.Run(fmt.Sprintf("%v/m=%d,n=%d,k=%d", l, m, n, k), func(b *testing.B) {
				defer cpu.Use(l, 0)()
				a, w, dst, bias := random(m*k), random(PackedF32Size(n, k)), make([]float32, m*n), random(n)
				reportPeak(b, s, loop, func() { GemmF32(dst, n, a, k, w, m, n, k, bias) })
			})
		}
	}
}

// BenchmarkGemmF32Generic compares plain Go with the textbook's loop over dot products.
func BenchmarkGemmF32Generic(b *testing.B) {
	const m, n, k = 32, 384, 384
	a, w, dst := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n)
	p := make([]float32, PackedF32Size(n, k))
	r := rand.New(rand.NewPCG(4, 4))
	for i := range w {
		w[i] = r.Float32() - 0.5
	}
	copy(a, w[k:])
	PackF32(p, w, n, k, k)
	report := func(b *testing.B, f func()) {
		for b.Loop() {
			f()
		}
		b.ReportMetric(2*m*n*k*float64(b.N)/float64(b.Elapsed()), "GOPS")
	}
	b.Run("packed", func(b *testing.B) {
		defer cpu.Use(cpu.Generic, 0)()
		report(b, func() { GemmF32(dst, n, a, k, p, m, n, k, nil) })
	})
	b.Run("dots", func(b *testing.B) {
		report(b, func() {
			for i := range m {
				for j := range n {
					dst[i*n+j] = dotF32Generic(a[i*k:][:k], w[j*k:][:k])
				}
			}
		})
	})
	b.Run("naive", func(b *testing.B) {
		report(b, func() {
			for i := range m {
				row := a[i*k:][:k]
				for j := range n {
					var sum float32
					for l, v := range w[j*k:][:k] {
						sum += row[l] * v
					}
					dst[i*n+j] = sum
				}
			}
		})
	})
	b.Run("pack", func(b *testing.B) { report(b, func() { PackF32(p, w, n, k, k) }) })
}

// BenchmarkLongestGemmCall reports how long the longest call of assembly takes that a product makes: nothing
// can interrupt it. Every call gets weights that are in no cache of the core.
func BenchmarkLongestGemmCall(b *testing.B) {
	const columns, k = maxTileCols, kCall
	r := rand.New(rand.NewPCG(5, 5))
	pool := randomI8(r, 48<<20) // more than L2, and one part after the other
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&pool[0])), len(pool)/4)
	report := func(b *testing.B, call func(i int)) {
		var worst []float64
		i := 0
		for b.Loop() {
			start := time.Now()
			call(i)
			worst = append(worst, float64(time.Since(start))/1e3)
			i++
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(slices.Min(worst), "min-us")
		b.ReportMetric(median(worst), "median-us")
	}
	for _, l := range cpu.Levels() {
		if l == cpu.Generic || l == cpu.AMX {
			continue
		}
		b.Run("i8/"+l.String(), func(b *testing.B) {
			defer cpu.Use(l, 0)()
			a, dst := packedU8(randomU8(r, 8*k), 8, k), make([]int32, 8*columns)
			size := PackedI8Size(columns, k)
			report(b, func(i int) {
				at := i % (len(pool) / size) * size
				GemmU8I8(dst[:tileRows(l, 8)*16*tilePanels(l)], a[:PackedU8Size(tileRows(l, 8), k)],
					pool[at:at+PackedI8Size(16*tilePanels(l), k)], tileRows(l, 8), 16*tilePanels(l), k)
			})
		})
		b.Run("i8-strip/"+l.String(), func(b *testing.B) {
			defer cpu.Use(l, 0)()
			const k = 384
			n := 16 * tilePanels(l)
			m := maxStripWork / n / k / 24 * 24
			c := newEpilogueInput(r, m, n, k)
			e, dst := &Epilogue{Scale: c.columns, Bias: c.columns, RowScale: c.rows, Activation: Gelu}, make([]float32, m*n)
			report(b, func(i int) { GemmU8I8F32(dst, c.a, pool[i%64*len(c.w):][:len(c.w)], m, n, k, e) })
		})
		if l == cpu.AVX512 || l == cpu.AVX2 {
			b.Run("f32/"+l.String(), func(b *testing.B) {
				defer cpu.Use(l, 0)()
				m, n := tileRowsF32(l, 8), 16*tilePanelsF32(l)
				a, dst := make([]float32, m*k), make([]float32, m*n)
				size := PackedF32Size(n, k)
				report(b, func(i int) {
					at := i % (len(floats) / size) * size
					GemmF32(dst, n, a, k, floats[at:at+size], m, n, k, nil)
				})
			})
		}
	}
}

func BenchmarkQuantizePackF32U8(b *testing.B) {
	const m, k = 128, 384
	r := rand.New(rand.NewPCG(6, 6))
	src, scale, offset := randomVector(r, m*k), make([]float32, m), make([]float32, m)
	for _, l := range cpu.Levels() {
		b.Run(fmt.Sprintf("%v/m=%d,k=%d", l, m, k), func(b *testing.B) {
			defer cpu.Use(l, 0)()
			dst := make([]uint8, PackedU8Size(m, k))
			b.SetBytes(4 * m * k)
			for b.Loop() {
				QuantizePackF32U8(dst, scale, offset, src, m, k)
			}
		})
	}
}
