package simd

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/maida-ai/gomai/internal/fma"
)

// randomEpilogue returns one for a product, some of its coefficients left out.
func randomEpilogue(r *rand.Rand, sums []int32, m, n int) *Epilogue {
	some := func(n int, scale float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * scale)
		}
		return v
	}
	e := &Epilogue{Scale: some(n, 1e-4), Activation: Activation(r.IntN(3))}
	for _, c := range []struct {
		to *[]float32
		n  int
	}{{&e.Offset, n}, {&e.Bias, n}, {&e.RowScale, m}, {&e.RowOffset, m}} {
		if r.IntN(3) > 0 {
			*c.to = some(c.n, 1)
		}
	}
	for j := range e.Bias {
		if r.IntN(10) == 0 {
			e.Bias[j] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 3e38}[r.IntN(4)]
		}
	}
	if r.IntN(2) == 0 {
		e.Zero, e.ColumnSums = int32(r.IntN(256)), sums
	}
	return e
}

func orElse(v []float32, i int, none float32) float32 {
	if v == nil {
		return none
	}
	return v[i]
}

// of returns what the documentation says becomes of a sum.
func (e *Epilogue) of(sum int32, i, j int) float32 {
	inner := fma.F32(orElse(e.RowOffset, i, 0), orElse(e.Offset, j, 0), orElse(e.Bias, j, 0))
	y := fma.F32(orElse(e.RowScale, i, 1), float32(sum)*e.Scale[j], inner)
	switch e.Activation {
	case Relu:
		return max(y, 0) // NaN if y is
	case Gelu:
		return gelu(y)
	}
	return y
}

// of returns what the documentation says becomes of a real.
func (q *Quanta) of(y float32, i int, least, greatest float64) int {
	v := fma.F32(y, q.Inverse[i%len(q.Inverse)], float32(q.Zero))
	if v != v {
		return int(least)
	}
	return int(max(least, min(greatest, math.RoundToEven(float64(v)))))
}

// An epilogueCase is a product with everything that its epilogues need, and the sums.
type epilogueCase struct {
	m, n, k int
	a       []uint8
	w       []int8
	sums    []int32
	e       *Epilogue
	q       *Quanta
}

func newEpilogueCase(r *rand.Rand, m, n, k int) epilogueCase {
	w, a := randomI8(r, n*k), randomU8(r, m*k)
	columnSums := make([]int32, n)
	ColumnSumsI8(columnSums, w, n, k)
	c := epilogueCase{m, n, k, packedU8(a, m, k), packedI8(w, n, k), naiveI8(a, w, m, n, k), randomEpilogue(r, columnSums, m, n), nil}
	for i := range c.sums {
		c.sums[i] -= c.e.Zero * columnSums[i%n]
	}
	c.q = &Quanta{Inverse: []float32{float32(r.NormFloat64() * 20)}, Zero: int32(r.IntN(300) - 150)}
	if r.IntN(2) == 0 {
		c.q.Inverse = make([]float32, m)
		for i := range c.q.Inverse {
			c.q.Inverse[i] = float32(r.NormFloat64() * 20)
		}
	}
	return c
}

// check runs f on a poisoned output that is longer than it may know and compares with want. All NaN are the
// same.
func check[T comparable](t *testing.T, name string, c epilogueCase, poison T, nan func(T) bool, f func(dst []T), want func(y float32, i int) T) {
	t.Helper()
	dst := make([]T, c.m*c.n+100)
	for i := range dst {
		dst[i] = poison
	}
	f(dst[50:][:c.m*c.n])
	for i, got := range dst {
		expected := poison
		if at := i - 50; at >= 0 && at < c.m*c.n {
			expected = want(c.e.of(c.sums[at], at/c.n, at%c.n), at/c.n)
		}
		if got != expected && !(nan(got) && nan(expected)) {
			t.Fatalf("%s, m=%d, n=%d, k=%d, %+v: element %d is %v, want %v", name, c.m, c.n, c.k, c.e.Activation, i-50, got, expected)
		}
	}
}

func (c epilogueCase) check(t *testing.T) {
	t.Helper()
	check(t, "GemmU8I8F32", c, 12345, func(y float32) bool { return y != y }, func(dst []float32) { GemmU8I8F32(dst, c.a, c.w, c.m, c.n, c.k, c.e) },
		func(y float32, _ int) float32 { return y })
	check(t, "GemmU8I8BF16", c, 0xbeef, isNaN, func(dst []BFloat16) { GemmU8I8BF16(dst, c.a, c.w, c.m, c.n, c.k, c.e) },
		func(y float32, _ int) BFloat16 { return roundBF16(y) })
	check(t, "GemmU8I8U8", c, 77, func(uint8) bool { return false }, func(dst []uint8) { GemmU8I8U8(dst, c.a, c.w, c.m, c.n, c.k, c.e, c.q) },
		func(y float32, i int) uint8 { return uint8(c.q.of(y, i, 0, 255)) })
	check(t, "GemmU8I8I8", c, 77, func(int8) bool { return false }, func(dst []int8) { GemmU8I8I8(dst, c.a, c.w, c.m, c.n, c.k, c.e, c.q) },
		func(y float32, i int) int8 { return int8(c.q.of(y, i, -128, 127)) })
}

func TestEpilogues(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for _, s := range [][3]int{{0, 3, 3}, {3, 0, 3}, {2, 3, 0}} {
			newEpilogueCase(r, s[0], s[1], s[2]).check(t)
		}
		for m := 1; m <= 20; m++ {
			for n := range 100 {
				if r.IntN(4) == 0 {
					newEpilogueCase(r, m, n, 1+r.IntN(90)).check(t)
				}
			}
		}
	})
}

// tileOfReals runs an epilogue that leaves each of the reals as it is, before the activation.
func tileOfReals(kind outputKind, y []float32, a Activation, q *Quanta, limits [3]float32, dst *[maxTileCols]float32) {
	o := output{kind: kind, n: len(y), e: &Epilogue{Scale: make([]float32, len(y)), Bias: y, Activation: a}, q: q, limits: limits}
	o.dst = unsafe.Pointer(dst)
	var sums [maxTileCols]int32
	for j := 0; j < len(y); j += maxTileCols {
		o.store(&sums[0], 0, j, 1, min(len(y)-j, maxTileCols))
	}
}

// Numbers that no product of finite coefficients gives, and half-way points.
func TestEpilogueSpecials(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	numbers := []float32{0, inf, -inf, nan, -nan, 1e-45, -1e-45, 3e38, -3e38, 0.5, 1.5, 2.5, -0.5, -1.5, 254.5, 255.5, 1e10, -1e10,
		math.Float32frombits(0x3f808000), math.Float32frombits(0x3f818000), math.Float32frombits(0x7f7fffff),
		math.Float32frombits(0x7f800001), math.Float32frombits(0xffbfffff), 127.5, -128.5, 126.5, -127.5, 4.4, -4.4, 20, -20, 100}
	eachLevel(t, func(t *testing.T) {
		for _, a := range []Activation{Identity, Relu, Gelu} {
			var dst [maxTileCols]float32
			tileOfReals(toF32, numbers, a, nil, [3]float32{}, &dst)
			e := &Epilogue{Scale: make([]float32, len(numbers)), Bias: numbers, Activation: a}
			for j := range numbers {
				want := e.of(0, 0, j)
				if got := dst[j]; got != want && (got == got || want == want) {
					t.Errorf("activation %d of %v: %v, want %v", a, numbers[j], got, want)
				}
			}
		}
		var dst [maxTileCols]float32
		tileOfReals(toBF16, numbers, Identity, nil, [3]float32{}, &dst)
		for j, y := range numbers {
			got, want := (*[2 * maxTileCols]BFloat16)(unsafe.Pointer(&dst))[j], roundBF16(fma.F32(0, 0, y))
			if y == y && got != want || y != y && !isNaN(got) {
				t.Errorf("bfloat16 of %v: %#x, want %#x", y, got, want)
			}
		}
		q := &Quanta{Inverse: []float32{1}}
		for _, limits := range [][3]float32{{0, 0, 255}, {0, -128, 127}} {
			tileOfReals(toByte, numbers, Identity, q, limits, &dst)
			for j, y := range numbers {
				got, want := (*[4 * maxTileCols]uint8)(unsafe.Pointer(&dst))[j], uint8(q.of(y, 0, float64(limits[1]), float64(limits[2])))
				if got != want {
					t.Errorf("byte of %v, limits %v: %d, want %d", y, limits, got, want)
				}
			}
		}
	})
}

// sameF32 holds all NaN to be the same.
func sameF32(a, b float32) bool { return a == b || a != a && b != b }

func isNaN(b BFloat16) bool { f := math.Float32frombits(uint32(b) << 16); return f != f }

func TestGelu(t *testing.T) {
	var worst float64
	for y := float32(-30); y <= 30; y += 0x1p-10 {
		want := float64(y) * 0.5 * math.Erfc(-float64(y)/math.Sqrt2)
		worst = max(worst, math.Abs(float64(gelu(y))-want)-math.Abs(want)*0x1p-23)
	}
	if worst > 7e-5 {
		t.Errorf("off by %v, documented 7e-5", worst)
	}
}

// Rounding to bfloat16 against the definition: no other bfloat16 is nearer, and ties go to the even one.
func TestRoundBF16(t *testing.T) {
	value := func(b BFloat16) float64 { return float64(math.Float32frombits(uint32(b) << 16)) }
	r := rand.New(rand.NewPCG(15, 16))
	for range 100_000 {
		bits := r.Uint32() &^ 0x80000000
		if r.IntN(2) == 0 {
			bits = bits&0xffff0000 | []uint32{0x7fff, 0x8000, 0x8001}[r.IntN(3)]
		}
		y := math.Float32frombits(bits)
		if bits >= 0x7f7f0000 {
			continue // to infinity or NaN: TestEpilogueSpecials
		}
		got := roundBF16(y)
		d := math.Abs(value(got) - float64(y))
		for _, other := range []BFloat16{got - 1, got + 1} {
			if e := math.Abs(value(other) - float64(y)); got > 0 && (e < d || e == d && got%2 == 1) {
				t.Fatalf("%b: %v, but %v is nearer or even", y, value(got), value(other))
			}
		}
	}
}

func TestEpilogueShape(t *testing.T) {
	const m, n, k = 3, 5, 7
	a, w := make([]uint8, PackedU8Size(m, k)), make([]int8, PackedI8Size(n, k))
	good := func() *Epilogue { return &Epilogue{Scale: make([]float32, n)} }
	f := func(e *Epilogue) { GemmU8I8F32(make([]float32, m*n), a, w, m, n, k, e) }
	f(good())
	for name, spoil := range map[string]func(e *Epilogue){
		"Scale":      func(e *Epilogue) { e.Scale = make([]float32, n+1) },
		"Offset":     func(e *Epilogue) { e.Offset = make([]float32, n-1) },
		"Bias":       func(e *Epilogue) { e.Bias = make([]float32, 1) },
		"RowScale":   func(e *Epilogue) { e.RowScale = make([]float32, n) },
		"RowOffset":  func(e *Epilogue) { e.RowOffset = make([]float32, m+1) },
		"Zero":       func(e *Epilogue) { e.Zero = 1 },
		"Activation": func(e *Epilogue) { e.Activation = Gelu + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			e := good()
			spoil(e)
			mustPanic(t, "simd: GemmU8I8F32: lengths do not match m, n and k", func() { f(e) })
		})
	}
	two := &Quanta{Inverse: make([]float32, 2)}
	mustPanic(t, "simd: GemmU8I8U8: lengths do not match m, n and k", func() { GemmU8I8U8(make([]uint8, m*n), a, w, m, n, k, good(), two) })
	mustPanic(t, "simd: GemmU8I8I8: lengths do not match m, n and k", func() { GemmU8I8I8(make([]int8, m*n), a, w, m, n, k, good(), two) })
	mustPanic(t, "simd: GemmU8I8BF16: lengths do not match m, n and k", func() { GemmU8I8BF16(make([]BFloat16, m*n-1), a, w, m, n, k, good()) })
	mustPanic(t, "simd: GemmU8I8F32: k too large, the sum may overflow", func() {
		const k = maxGemmI8 + 1
		GemmU8I8F32(make([]float32, 1), make([]uint8, PackedU8Size(1, k)), make([]int8, PackedI8Size(1, k)), 1, 1, k, &Epilogue{Scale: make([]float32, 1)})
	})
}

func TestGemmI8DoesNotAllocate(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		c := newEpilogueCase(rand.New(rand.NewPCG(17, 18)), 9, 50, 40)
		sums := make([]int32, 50)
		i32, f32, bf16 := make([]int32, 9*50), make([]float32, 9*50), make([]BFloat16, 9*50)
		u8, i8 := make([]uint8, 9*50), make([]int8, 9*50)
		for name, f := range map[string]func(){
			"GemmU8I8":     func() { GemmU8I8(i32, c.a, c.w, c.m, c.n, c.k) },
			"GemmI8I8":     func() { GemmI8I8(i32, c.a, c.w, sums, c.m, c.n, c.k) },
			"GemmU8I8F32":  func() { GemmU8I8F32(f32, c.a, c.w, c.m, c.n, c.k, c.e) },
			"GemmU8I8BF16": func() { GemmU8I8BF16(bf16, c.a, c.w, c.m, c.n, c.k, c.e) },
			"GemmU8I8U8":   func() { GemmU8I8U8(u8, c.a, c.w, c.m, c.n, c.k, c.e, c.q) },
			"GemmU8I8I8":   func() { GemmU8I8I8(i8, c.a, c.w, c.m, c.n, c.k, c.e, c.q) },
		} {
			t.Run(name, func(t *testing.T) {
				if got := testing.AllocsPerRun(20, f); got != 0 {
					t.Errorf("%v allocations", got)
				}
			})
		}
	})
}
