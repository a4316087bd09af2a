package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
)

// randomBF16 returns numbers of many sizes, but few enough that sums have no infinite terms.
func randomBF16(r *rand.Rand, n int) []BFloat16 {
	v := make([]BFloat16, n)
	for i := range v {
		v[i] = roundBF16(float32(r.NormFloat64() * math.Exp2(float64(r.IntN(20)-10))))
		switch r.IntN(20) {
		case 0:
			v[i] = 0
		case 1:
			v[i] = 0x8000
		case 2:
			v[i] = BFloat16(r.IntN(128) | r.IntN(2)<<15) // denormal
		case 3:
			v[i] = roundBF16(float32(r.NormFloat64() * 0x1p-63)) // whose square is nearly one
		}
	}
	return v
}

func packedBF16(a, w []BFloat16, m, n, k int) (pa, pw []BFloat16) {
	pa, pw = make([]BFloat16, PackedBF16Size(m, k)), make([]BFloat16, PackedBF16Size(n, k))
	PackRowsBF16(pa, a, m, k)
	PackWeightsBF16(pw, w, n, k)
	return pa, pw
}

func shapesBF16(r *rand.Rand) [][3]int {
	shapes := [][3]int{{0, 5, 7}, {5, 0, 7}, {3, 4, 0}, {1, 1, 1}, {8, 48, 1536}, {70, 70, 450}, {150, 33, 200}, {9, 50, 8300}}
	for m := 1; m <= 35; m++ {
		shapes = append(shapes, [3]int{m, 1 + r.IntN(100), 1 + r.IntN(150)})
	}
	for n := 1; n <= 100; n += 3 {
		shapes = append(shapes, [3]int{1 + r.IntN(20), n, 1 + r.IntN(150)})
	}
	for k := 1; k <= 100; k++ {
		shapes = append(shapes, [3]int{1 + r.IntN(20), 1 + r.IntN(50), k})
	}
	return shapes
}

// eachLevelBF16 runs f at each level, and with the features that GemmBF16 needs hidden.
func eachLevelBF16(t *testing.T, f func(t *testing.T)) {
	eachLevel(t, f)
	t.Run("hidden", func(t *testing.T) {
		defer cpu.Use(cpu.Levels()[0], cpu.BF16|cpu.AMXBF16)()
		if needs := gemmBF16Code.Variant().Needs; needs != 0 {
			t.Errorf("without its features GemmBF16 uses %v", needs)
		}
		f(t)
	})
}

func TestGemmBF16(t *testing.T) {
	eachLevelBF16(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, s := range shapesBF16(r) {
			m, n, k := s[0], s[1], s[2]
			a, w := randomBF16(r, m*k), randomBF16(r, n*k)
			pa, pw := packedBF16(a, w, m, n, k)
			pa0, pw0 := slices.Clone(pa), slices.Clone(pw)
			got := make([]float32, m*n)
			GemmBF16(got, pa, pw, m, n, k)
			if !slices.Equal(pa, pa0) || !slices.Equal(pw, pw0) {
				t.Errorf("%v: changed its input", s)
			}
			for i := range m {
				for j := range n {
					want, tolerance := boundBF16(a[i*k:(i+1)*k], w[j*k:(j+1)*k])
					if diff := math.Abs(float64(got[i*n+j]) - want); !(diff <= tolerance) {
						t.Fatalf("%v, row %d, column %d: got %v, want %v within %v", s, i, j, got[i*n+j], want, tolerance)
					}
				}
			}
		}
	})
}

// boundBF16 returns the sum of products in float64 and how far GemmBF16 may be from it.
func boundBF16(a, w []BFloat16) (sum, tolerance float64) {
	var abs, lost float64
	for i := range a {
		x, y := float64(widenBF16(a[i])), float64(widenBF16(w[i]))
		sum += x * y
		abs += math.Abs(x * y)
		if isDenormalBF16(a[i]) || isDenormalBF16(w[i]) {
			lost += math.Abs(x * y)
		}
	}
	n := float64(len(a))
	return sum, n*0x1p-23*abs + n*0x1p-125 + lost
}

func isDenormalBF16(x BFloat16) bool { return x&0x7F80 == 0 }

// TestGemmBF16Guarded puts every buffer against a page that cannot be accessed, and a result between poison.
func TestGemmBF16Guarded(t *testing.T) {
	eachLevelBF16(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(19, 20))
		for _, s := range [][3]int{{1, 1, 1}, {4, 16, 32}, {5, 17, 33}, {8, 48, 64}, {17, 31, 130}, {20, 48, 32}, {33, 33, 70}} {
			m, n, k := s[0], s[1], s[2]
			a, w := packedBF16(randomBF16(r, m*k), randomBF16(r, n*k), m, n, k)
			const poison, margin = 12345, 64
			want := slices.Repeat([]float32{poison}, m*n+2*margin)
			GemmBF16(want[margin:margin+m*n], a, w, m, n, k)
			if slices.Max(want[:margin]) != poison || slices.Min(want[:margin]) != poison ||
				slices.Max(want[margin+m*n:]) != poison || slices.Min(want[margin+m*n:]) != poison {
				t.Errorf("%v: written out of bounds", s)
			}
			lastA, firstA := guarded[BFloat16](t, len(a))
			lastW, firstW := guarded[BFloat16](t, len(w))
			last, first := guarded[float32](t, m*n)
			for _, g := range []struct {
				a, w []BFloat16
				dst  []float32
			}{{lastA, lastW, last}, {firstA, firstW, first}} {
				copy(g.a, a)
				copy(g.w, w)
				GemmBF16(g.dst, g.a, g.w, m, n, k)
				if !slices.Equal(g.dst, want[margin:margin+m*n]) {
					t.Errorf("%v: at guarded pages it differs from elsewhere", s)
				}
			}
		}
	})
}

// Sums that float32 holds exactly whatever the order are the same bits on every level.
func TestGemmBF16Exact(t *testing.T) {
	eachLevelBF16(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for _, s := range [][3]int{{1, 1, 1}, {8, 16, 64}, {40, 33, 90}, {70, 65, 300}, {130, 17, 500}} {
			m, n, k := s[0], s[1], s[2]
			a, w := make([]BFloat16, m*k), make([]BFloat16, n*k)
			for _, v := range [][]BFloat16{a, w} {
				for i := range v {
					v[i] = roundBF16(float32(r.IntN(255) - 127))
				}
			}
			pa, pw := packedBF16(a, w, m, n, k)
			got := make([]float32, m*n)
			GemmBF16(got, pa, pw, m, n, k)
			for i := range got {
				var want float32
				for l := range k {
					want += widenBF16(a[i/n*k+l]) * widenBF16(w[i%n*k+l])
				}
				if math.Float32bits(got[i]) != math.Float32bits(want) {
					t.Fatalf("%v, element %d: got %v, want %v", s, i, got[i], want)
				}
			}
		}
	})
}

func TestGemmBF16NotFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	eachLevelBF16(t, func(t *testing.T) {
		const m, n, k = 3, 18, 37
		for at := range k {
			for _, v := range []float32{inf, -inf, float32(math.NaN())} {
				a, w := make([]BFloat16, m*k), make([]BFloat16, n*k)
				for i := range w {
					w[i] = roundBF16(1)
				}
				a[k+at] = roundBF16(v)
				pa, pw := packedBF16(a, w, m, n, k)
				got := make([]float32, m*n)
				GemmBF16(got, pa, pw, m, n, k)
				for i, g := range got {
					want := float32(0)
					if i/n == 1 {
						want = v
					}
					if g != want && !(math.IsNaN(float64(g)) && math.IsNaN(float64(want))) {
						t.Fatalf("%v at %d: element %d is %v, want %v", v, at, i, g, want)
					}
				}
			}
		}
	})
}

func TestPackBF16(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, s := range [][2]int{{0, 0}, {0, 3}, {3, 0}, {1, 1}, {16, 32}, {17, 33}, {33, 130}} {
		n, k := s[0], s[1]
		src := randomBF16(r, n*k)
		rows, weights := make([]BFloat16, PackedBF16Size(n, k)), make([]BFloat16, PackedBF16Size(n, k))
		for i := range rows {
			rows[i], weights[i] = 99, 99
		}
		PackRowsBF16(rows, src, n, k)
		PackWeightsBF16(weights, src, n, k)
		wide := roundUp(k, 32)
		for row := range roundUp(n, 16) {
			for i := range wide {
				want := BFloat16(0)
				if row < n && i < k {
					want = src[row*k+i]
				}
				if got := rows[row/16*16*wide+i/32*512+row%16*32+i%32]; got != want {
					t.Fatalf("%v: row %d, k %d: got %d, want %d", s, row, i, got, want)
				}
				if got := weights[row/16*16*wide+i/2*32+row%16*2+i%2]; got != want {
					t.Fatalf("%v: weights of column %d, k %d: got %d, want %d", s, row, i, got, want)
				}
			}
		}
	}
}

func TestGemmBF16Shape(t *testing.T) {
	const m, n, k = 3, 5, 7
	dst, a, w := make([]float32, m*n), make([]BFloat16, PackedBF16Size(m, k)), make([]BFloat16, PackedBF16Size(n, k))
	shape := "simd: GemmBF16: lengths do not match m, n and k"
	mustPanic(t, shape, func() { GemmBF16(dst[1:], a, w, m, n, k) })
	mustPanic(t, shape, func() { GemmBF16(dst, a[1:], w, m, n, k) })
	mustPanic(t, shape, func() { GemmBF16(dst, a, w[1:], m, n, k) })
	mustPanic(t, shape, func() { GemmBF16(dst, a, w, -m, n, k) })
	mustPanic(t, "simd: GemmBF16: k too large", func() {
		const k = maxGemmBF16 + 1
		GemmBF16(make([]float32, 1), make([]BFloat16, PackedBF16Size(1, k)), make([]BFloat16, PackedBF16Size(1, k)), 1, 1, k)
	})
	mustPanic(t, "simd: PackedBF16Size: negative size", func() { PackedBF16Size(1, -1) })
	mustPanic(t, "simd: PackRowsBF16: lengths do not match m and k", func() { PackRowsBF16(a[1:], make([]BFloat16, m*k), m, k) })
	mustPanic(t, "simd: PackRowsBF16: lengths do not match m and k", func() { PackRowsBF16(a, make([]BFloat16, m*k+1), m, k) })
	mustPanic(t, "simd: PackWeightsBF16: lengths do not match n and k", func() { PackWeightsBF16(w[1:], make([]BFloat16, n*k), n, k) })
	mustPanic(t, "simd: PackWeightsBF16: lengths do not match n and k", func() { PackWeightsBF16(w, make([]BFloat16, n*k+1), n, k) })
}

func TestGemmBF16DoesNotAllocate(t *testing.T) {
	eachLevelBF16(t, func(t *testing.T) {
		const m, n, k = 9, 35, 40
		dst := make([]float32, m*n)
		src := make([]BFloat16, n*k)
		a, w := packedBF16(src[:m*k], src, m, n, k)
		if allocs := testing.AllocsPerRun(10, func() {
			PackRowsBF16(a, src[:m*k], m, k)
			GemmBF16(dst, a, w, m, n, k)
		}); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}

// FuzzGemmBF16 holds every level against the bound.
func FuzzGemmBF16(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(1), uint16(1))
	f.Add(uint64(2), uint8(40), uint8(50), uint16(300))
	f.Fuzz(func(t *testing.T, seed uint64, m8, n8 uint8, k16 uint16) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, n, k := int(m8%80), int(n8%80), int(k16%500)
		a, w := randomBF16(r, m*k), randomBF16(r, n*k)
		pa, pw := packedBF16(a, w, m, n, k)
		for _, l := range cpu.Levels() {
			restore := cpu.Use(l, 0)
			got := make([]float32, m*n)
			GemmBF16(got, pa, pw, m, n, k)
			restore()
			for i := range got {
				want, tolerance := boundBF16(a[i/n*k:][:k], w[i%n*k:][:k])
				if diff := math.Abs(float64(got[i]) - want); !(diff <= tolerance) {
					t.Fatalf("%v, element %d: got %v, want %v within %v", l, i, got[i], want, tolerance)
				}
			}
		}
	})
}

func BenchmarkGemmBF16(b *testing.B) {
	r := rand.New(rand.NewPCG(17, 18))
	for _, v := range gemmBF16Code.Variants {
		loop, ok := peak.F32(v.Level)
		if v.Needs != 0 {
			loop, ok = peak.BF16(v.Level)
		}
		if !ok || !slices.Contains(cpu.Levels(), v.Level) {
			continue
		}
		name := v.Level.String()
		if v.Needs != 0 {
			name += "+" + v.Needs.String()
		}
		for _, s := range gemmShapes {
			m, n, k := s[0], s[1], s[2]
			a, w := packedBF16(normalBF16(r, m*k), normalBF16(r, n*k), m, n, k)
			dst := make([]float32, m*n)
			b.Run(fmt.Sprintf("%s/m=%d,n=%d,k=%d", name, m, n, k), func(b *testing.B) {
				defer cpu.Use(v.Level, cpu.Available()&^v.Needs)()
				reportPeak(b, s, loop, func() { GemmBF16(dst, a, w, m, n, k) })
			})
		}
	}
}

// normalBF16 returns numbers as weights and activations are.
func normalBF16(r *rand.Rand, n int) []BFloat16 {
	v := make([]BFloat16, n)
	for i := range v {
		v[i] = roundBF16(float32(r.NormFloat64()))
	}
	return v
}
