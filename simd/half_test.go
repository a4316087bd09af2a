package simd

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// format is a binary floating-point format of 16 bits.
type format struct {
	name     string
	fraction int // bits
	minimum  int // exponent of the smallest normal number
	largest  float64
}

var (
	binary16  = format{"Float16", 10, -14, 65504}
	bfloat16s = format{"BFloat16", 7, -126, 0x1.fep127}
)

// value returns what the bits stand for, computed as IEEE 754 words it.
func (f format) value(bits uint16) float64 {
	sign := 1.0
	if bits>>15 == 1 {
		sign = -1
	}
	exponent := int(bits&0x7fff) >> f.fraction
	fraction := float64(bits & (1<<f.fraction - 1))
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, f.minimum-f.fraction)
	case 1<<(15-f.fraction) - 1:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(fraction+math.Ldexp(1, f.fraction), f.minimum-f.fraction+exponent-1)
}

// round returns the number of the format that is nearest to x, ties to even.
func (f format) round(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	place := math.Ldexp(1, max(math.Ilogb(x), f.minimum)-f.fraction)
	if r := math.RoundToEven(x/place) * place; math.Abs(r) <= f.largest {
		return r
	}
	return math.Copysign(math.Inf(1), x)
}

// sameFloat compares values and signs of zeros; all NaN are one.
func sameFloat(a, b float64) bool {
	return a == b && math.Signbit(a) == math.Signbit(b) || a != a && b != b
}

// allBits returns each value of 16 bits once.
func allBits[T ~uint16]() []T {
	all := make([]T, 1<<16)
	for i := range all {
		all[i] = T(i)
	}
	return all
}

func TestWidenHalf(t *testing.T) { eachLevel(t, testWidenHalf) }

func testWidenHalf(t *testing.T) {
	wide := make([]float32, 1<<16)
	ConvertF16F32(wide, allBits[Float16]())
	for i, x := range wide {
		if !sameFloat(float64(x), binary16.value(uint16(i))) {
			t.Fatalf("Float16 %#04x: got %v, want %v", i, x, binary16.value(uint16(i)))
		}
		// A quiet NaN with its payload, like the processor's own.
		if want := uint32(i&0x8000)<<16 | 0x7fc00000 | uint32(i&0x3ff)<<13; x != x && math.Float32bits(x) != want {
			t.Fatalf("Float16 %#04x: NaN %#08x, want %#08x", i, math.Float32bits(x), want)
		}
	}
	ConvertBF16F32(wide, allBits[BFloat16]())
	for i, x := range wide {
		if math.Float32bits(x) != uint32(i)<<16 || !sameFloat(float64(x), bfloat16s.value(uint16(i))) {
			t.Fatalf("BFloat16 %#04x: got %v, want %v", i, x, bfloat16s.value(uint16(i)))
		}
	}
}

// edges are float32 values on and beside the numbers of a format and the middles between them.
func (f format) edges() []float32 {
	var edges []float32
	for i := range uint16(0x7fff) {
		a, b := f.value(i), f.value(i+1)
		if math.IsInf(b, 0) {
			b = 2*a - f.value(i-1) // where the next number would be
		}
		if math.IsNaN(b) || math.IsInf(a, 0) {
			continue
		}
		middle := float32((a + b) / 2)
		for _, x := range []float32{float32(a), middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, math.MaxFloat32)} {
			edges = append(edges, x, -x)
		}
	}
	inf := float32(math.Inf(1))
	return append(edges, inf, -inf, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32)
}

// anyFloats returns n random patterns of bits.
func anyFloats(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = math.Float32frombits(r.Uint32())
	}
	return v
}

func TestNarrowHalf(t *testing.T) { eachLevel(t, testNarrowHalf) }

func testNarrowHalf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range []format{binary16, bfloat16s} {
		wide := append(f.edges(), anyFloats(r, 1<<16)...)
		for i := range 1 << 16 {
			wide = append(wide, float32(r.NormFloat64()*math.Exp2(float64(i%50-30))))
		}
		bits := make([]uint16, len(wide))
		if f == binary16 {
			h := make([]Float16, len(wide))
			ConvertF32F16(h, wide)
			for i := range h {
				bits[i] = uint16(h[i])
			}
		} else {
			h := make([]BFloat16, len(wide))
			ConvertF32BF16(h, wide)
			for i := range h {
				bits[i] = uint16(h[i])
			}
		}
		for i, x := range wide {
			if got, want := f.value(bits[i]), f.round(float64(x)); !sameFloat(got, want) {
				t.Fatalf("%s of %v: got %v, want %v", f.name, x, got, want)
			}
		}
	}
}

func TestNarrowNaN(t *testing.T) { eachLevel(t, testNarrowNaN) }

func testNarrowNaN(t *testing.T) {
	var nan []float32
	for bit := range 23 {
		for _, sign := range []uint32{0, 1 << 31} {
			nan = append(nan, math.Float32frombits(sign|0x7f800000|1<<bit))
		}
	}
	h, b := make([]Float16, len(nan)), make([]BFloat16, len(nan))
	ConvertF32F16(h, nan)
	ConvertF32BF16(b, nan)
	for i, x := range nan {
		bits := math.Float32bits(x)
		if want := Float16(bits>>16&0x8000 | 0x7e00 | bits>>13&0x3ff); h[i] != want {
			t.Errorf("Float16 of NaN %#08x: got %#04x, want %#04x", bits, h[i], want)
		}
		if want := BFloat16(bits>>16 | 0x40); b[i] != want {
			t.Errorf("BFloat16 of NaN %#08x: got %#04x, want %#04x", bits, b[i], want)
		}
	}
}

// testConversion runs a conversion at every length, before and behind pages that cannot be touched, with
// memory beyond the result that must not change.
func testConversion[D, S comparable](t *testing.T, name string, convert func([]D, []S), one func(S) D, some func(i int) S, poison D) {
	const most = 100
	lastSrc, firstSrc := guarded[S](t, most)
	lastDst, firstDst := guarded[D](t, most)
	for i := range lastSrc {
		lastSrc[i] = some(i)
	}
	for n := range most + 1 {
		copy(firstSrc, lastSrc[most-n:])
		for _, place := range []struct {
			all, dst []D
			src      []S
		}{{lastDst, lastDst[most-n:], lastSrc[most-n:]}, {firstDst, firstDst[:n], firstSrc[:n]}} {
			src := place.src
			before := slices.Clone(src)
			for i := range place.all {
				place.all[i] = poison
			}
			convert(place.dst, src)
			for i := range place.dst {
				if place.dst[i] != one(src[i]) {
					t.Fatalf("%s, n=%d: [%d] of %v is %v, want %v", name, n, i, src[i], place.dst[i], one(src[i]))
				}
				place.dst[i] = poison
			}
			if slices.ContainsFunc(place.all, func(x D) bool { return x != poison }) {
				t.Fatalf("%s, n=%d: wrote outside", name, n)
			}
			if !slices.Equal(src, before) {
				t.Fatalf("%s, n=%d: changed its input", name, n)
			}
		}
	}
	long := make([]S, 2*chunk+77)
	for i := range long {
		long[i] = some(i % most)
	}
	dst := make([]D, len(long))
	convert(dst, long)
	for i := range dst {
		if dst[i] != one(long[i]) {
			t.Fatalf("%s, n=%d: [%d] is %v, want %v", name, len(long), i, dst[i], one(long[i]))
		}
	}
}

func TestConvertLengths(t *testing.T) { eachLevel(t, testConvertLengths) }

func testConvertLengths(t *testing.T) {
	float := func(i int) float32 { return float32(i-50) * 1.001 }
	testConversion(t, "ConvertF16F32", ConvertF16F32, widenF16, func(i int) Float16 { return Float16(i * 301) }, -7)
	testConversion(t, "ConvertBF16F32", ConvertBF16F32, widenBF16, func(i int) BFloat16 { return BFloat16(i * 301) }, -7)
	testConversion(t, "ConvertF32F16", ConvertF32F16, roundF16, float, 0xffff)
	testConversion(t, "ConvertF32BF16", ConvertF32BF16, roundBF16, float, 0xffff)
}

// halves are two random vectors in both formats, with denormals among them.
func halves(r *rand.Rand, n int) (a, b []Float16, c, d []BFloat16) {
	for range n {
		a = append(a, roundF16(float32(r.NormFloat64()*math.Exp2(float64(r.IntN(24)-20)))))
		b = append(b, roundF16(float32(r.NormFloat64()*math.Exp2(float64(r.IntN(24)-20)))))
		c = append(c, roundBF16(float32(r.NormFloat64()*math.Exp2(float64(r.IntN(160)-130)))))
		d = append(d, roundBF16(float32(r.NormFloat64()*math.Exp2(float64(r.IntN(40)-20)))))
	}
	return a, b, c, d
}

func widened[T any](v []T, one func(T) float32) []float32 {
	w := make([]float32, len(v))
	for i, x := range v {
		w[i] = one(x)
	}
	return w
}

// checkHalfDots compares the dot products with DotF32's order on widened vectors.
func checkHalfDots(t *testing.T, a, b []Float16, c, d []BFloat16) {
	t.Helper()
	dot := reductions[0]
	wa, wb := widened(a, widenF16), widened(b, widenF16)
	if got, want := DotF16(a, b), dot.inOrder(wa, wb); !same(got, want) {
		t.Errorf("DotF16, n=%d: got %v, want %v", len(a), got, want)
	}
	if got, want := DotF16F32(a, wb), dot.inOrder(wa, wb); !same(got, want) {
		t.Errorf("DotF16F32, n=%d: got %v, want %v", len(a), got, want)
	}
	if got, want := DotBF16(c, d), dot.inOrder(widened(c, widenBF16), widened(d, widenBF16)); !same(got, want) {
		t.Errorf("DotBF16, n=%d: got %v, want %v", len(c), got, want)
	}
}

func TestHalfDots(t *testing.T) { eachLevel(t, testHalfDots) }

func testHalfDots(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const most = 4*lanes + 20
	lastA, firstA := guarded[Float16](t, most)
	lastB, firstB := guarded[Float16](t, most)
	lastC, firstC := guarded[BFloat16](t, most)
	lastD, firstD := guarded[BFloat16](t, most)
	lastF, firstF := guarded[float32](t, most)
	a, b, c, d := halves(r, most)
	copy(lastA, a)
	copy(lastB, b)
	copy(lastC, c)
	copy(lastD, d)
	ConvertF16F32(lastF, b)
	for n := range most + 1 {
		at := most - n
		checkHalfDots(t, lastA[at:], lastB[at:], lastC[at:], lastD[at:])
		copy(firstA, lastA[at:])
		copy(firstB, lastB[at:])
		copy(firstC, lastC[at:])
		copy(firstD, lastD[at:])
		copy(firstF, lastF[at:])
		checkHalfDots(t, firstA[:n], firstB[:n], firstC[:n], firstD[:n])
		if x, y := DotF16F32(lastA[at:], lastF[at:]), DotF16F32(firstA[:n], firstF[:n]); !same(x, y) {
			t.Errorf("DotF16F32, n=%d: %v before the page, %v behind it", n, x, y)
		}
	}
	if !slices.Equal(lastA, a) || !slices.Equal(lastB, b) || !slices.Equal(lastC, c) || !slices.Equal(lastD, d) {
		t.Error("changed its input")
	}
	for _, n := range []int{chunk, chunk + 1, 2*chunk + 77} {
		a, b, c, d := halves(r, n)
		checkHalfDots(t, a, b, c, d)
	}
}

func FuzzHalf(f *testing.F) {
	f.Add([]byte{1, 0, 0, 124, 1, 124, 255, 255, 0, 128})
	f.Add(make([]byte, 400))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a []Float16
		var b []BFloat16
		x, _ := floats(data)
		for ; len(data) >= 2; data = data[2:] {
			v := binary.LittleEndian.Uint16(data)
			a, b = append(a, Float16(v)), append(b, BFloat16(v))
		}
		eachLevel(t, func(t *testing.T) {
			checkHalfDots(t, a, slices.Concat(a[len(a)/2:], a[:len(a)/2]), b, slices.Concat(b[len(b)/2:], b[:len(b)/2]))
			h, g := make([]Float16, len(x)), make([]BFloat16, len(x))
			ConvertF32F16(h, x)
			ConvertF32BF16(g, x)
			for i := range x {
				if h[i] != roundF16(x[i]) || g[i] != roundBF16(x[i]) {
					t.Errorf("%v becomes %#04x and %#04x, in plain Go %#04x and %#04x", x[i], h[i], g[i], roundF16(x[i]), roundBF16(x[i]))
				}
			}
		})
	})
}

func TestHalfShape(t *testing.T) {
	var (
		h2 = make([]Float16, 2)
		b2 = make([]BFloat16, 2)
		f3 = make([]float32, 3)
	)
	for name, f := range map[string]func(){
		"DotF16":         func() { DotF16(h2, make([]Float16, 3)) },
		"DotBF16":        func() { DotBF16(b2, make([]BFloat16, 3)) },
		"DotF16F32":      func() { DotF16F32(h2, f3) },
		"ConvertF16F32":  func() { ConvertF16F32(f3, h2) },
		"ConvertF32F16":  func() { ConvertF32F16(h2, f3) },
		"ConvertBF16F32": func() { ConvertBF16F32(f3, b2) },
		"ConvertF32BF16": func() { ConvertF32BF16(b2, f3) },
	} {
		func() {
			defer func() {
				if got, want := recover(), "simd: "+name+": lengths differ"; got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

func TestHalfDoesNotAllocate(t *testing.T) {
	h, b, x := make([]Float16, 100), make([]BFloat16, 100), make([]float32, 100)
	n := testing.AllocsPerRun(100, func() {
		ConvertF16F32(x, h)
		ConvertF32F16(h, x)
		ConvertBF16F32(x, b)
		ConvertF32BF16(b, x)
		DotF16(h, h)
		DotBF16(b, b)
		DotF16F32(h, x)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHalf(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{384, 1536} {
		size := strconv.Itoa(n)
		p, q, u, v := make([]Float16, n), make([]Float16, n), make([]BFloat16, n), make([]BFloat16, n)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
			p[i], q[i], u[i], v[i] = roundF16(x[i]), roundF16(-x[i]/3), roundBF16(x[i]), roundBF16(-x[i]/3)
		}
		benchLevels(b, dotF16Code, size, func() { DotF16(p, q) })
		benchLevels(b, dotBF16Code, size, func() { DotBF16(u, v) })
		benchLevels(b, dotF16F32Code, size, func() { DotF16F32(p, x) })
		benchLevels(b, convertF16F32Code, size, func() { ConvertF16F32(x, p) })
		benchLevels(b, convertF32F16Code, size, func() { ConvertF32F16(q, x) })
		benchLevels(b, convertBF16F32Code, size, func() { ConvertBF16F32(x, u) })
		benchLevels(b, convertF32BF16Code, size, func() { ConvertF32BF16(v, x) })
	}
}
