package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/fma"
)

func TestCosineF32(t *testing.T) { eachLevel(t, testCosineF32) }

// The result must be what the end of the documentation makes of sums in the documented order.
func testCosineF32(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dot := reduction{add: fma.F32}
	for _, n := range append(lengths(4*lanes+20), chunk, chunk+1, 2*chunk+77) {
		a, b := randomVector(r, n+1)[1:], randomVector(r, n+1)[1:]
		a0, b0 := slices.Clone(a), slices.Clone(b)
		got := CosineF32(a, b)
		if n > 0 {
			inOrder := float64(dot.inOrder(a, b)) / math.Sqrt(float64(dot.inOrder(a, a))*float64(dot.inOrder(b, b)))
			if want := max(-1, min(1, inOrder)); got != want {
				t.Errorf("n=%d: got %v, the documented order gives %v", n, got, want)
			}
			want := dot64(a, b) / math.Sqrt(dot64(a, a)*dot64(b, b))
			if !(math.Abs(got-want) <= float64(n/64+8)*0x1p-23) {
				t.Errorf("n=%d: got %v, want %v", n, got, want)
			}
		}
		if !slices.Equal(a, a0) || !slices.Equal(b, b0) {
			t.Errorf("n=%d: changed its input", n)
		}
	}
}

// lengths returns 0 to n-1.
func lengths(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestCosineF32Edges(t *testing.T) { eachLevel(t, testCosineF32Edges) }

func testCosineF32Edges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for n := 1; n < 2*lanes+3; n++ {
		for i := range n {
			v := make([]float32, n)
			check := func(x float32, other []float32, want float64) {
				t.Helper()
				v[i] = x
				if got := CosineF32(v, other); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
					t.Fatalf("n=%d, %v at %d: got %v, want %v", n, x, i, got, want)
				}
			}
			ones := slices.Repeat([]float32{1}, n)
			check(0, ones, 0)
			check(0, v, 0)
			check(nan, ones, math.NaN())
			check(inf, ones, math.NaN())
			check(0x1p-149, v, 1) // all sums of squares underflow
			check(math.MaxFloat32, v, 1)
		}
	}
	if got := CosineF32(nil, []float32{}); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
}

// Squares beside the limits of float32 sums, on which the two ways to a cosine part.
func TestCosineF32Limits(t *testing.T) { eachLevel(t, testCosineF32Limits) }

func testCosineF32Limits(t *testing.T) {
	for _, x := range []float32{0x1p-40, 0x1.000002p-40, 0x1p-74, 0x1p63, 0x1.000002p63, 0x1.fffffep63, 0x1p64} {
		for _, y := range []float32{1, x, -x} {
			a, b := []float32{x, x / 2, 0}, []float32{0, y, y / 2}
			if got, want := CosineF32(a, b), math.Copysign(0.4, float64(y)); math.Abs(got-want) > 1e-6 {
				t.Errorf("%v and %v: got %v, want %v", a, b, got, want)
			}
		}
	}
}

func TestCosineF32Range(t *testing.T) { eachLevel(t, testCosineF32Range) }

func testCosineF32Range(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		a := randomVector(r, 1+r.IntN(100))
		for _, factor := range []float32{3, -3} {
			b := make([]float32, len(a))
			for i := range a {
				b[i] = factor * a[i]
			}
			// The quotient alone is beyond 1 for some of them.
			if c := math.Copysign(1, float64(factor)) * CosineF32(a, b); c > 1 || c < 1-1e-6 {
				t.Errorf("with %v times itself: %v", factor, c)
			}
		}
	}
}

func TestCosineF32StaysInside(t *testing.T) { eachLevel(t, testCosineF32StaysInside) }

func testCosineF32StaysInside(t *testing.T) {
	const most = 2*lanes + 20
	lastA, firstA := guarded[float32](t, most)
	lastB, firstB := guarded[float32](t, most)
	copy(lastA, randomVector(rand.New(rand.NewPCG(5, 6)), most))
	copy(lastB, randomVector(rand.New(rand.NewPCG(7, 8)), most))
	for n := range most + 1 {
		copy(firstA, lastA[most-n:])
		copy(firstB, lastB[most-n:])
		if x, y := CosineF32(lastA[most-n:], lastB[most-n:]), CosineF32(firstA[:n], firstB[:n]); x != y {
			t.Errorf("n=%d: %v before the page, %v behind it", n, x, y)
		}
	}
}

func TestNormF32(t *testing.T) { eachLevel(t, testNormF32) }

func testNormF32(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, scale := range []float32{1, 0x1p-120, 0x1p100} {
		for n := range 4*lanes + 20 {
			v := make([]float32, n)
			for i := range v {
				v[i] = scale * float32(r.NormFloat64())
			}
			want := math.Sqrt(dot64(v, v))
			if got := NormF32(v); !(math.Abs(got-want) <= float64(n/64+8)*0x1p-25*want) {
				t.Errorf("n=%d, scale %v: got %v, want %v", n, scale, got, want)
			}
		}
	}
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		v    []float32
		want float64
	}{
		{nil, 0},
		{[]float32{0, 0}, 0},
		{[]float32{0x1p-149}, 0x1p-149},
		{[]float32{-math.MaxFloat32}, math.MaxFloat32},
		{[]float32{1, float32(-inf)}, inf},
		{[]float32{float32(inf), float32(nan)}, nan},
	} {
		if got := NormF32(c.v); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%v: got %v, want %v", c.v, got, c.want)
		}
	}
}

// Products that underflow leave -0 in all partial sums, if the tail does not make 0 of it: the cosine is 0.
func TestCosineF32HasNoNegativeZero(t *testing.T) { eachLevel(t, testCosineF32HasNoNegativeZero) }

func testCosineF32HasNoNegativeZero(t *testing.T) {
	zero := float32(math.Copysign(0, -1))
	block := func(x float32) []float32 { return slices.Repeat([]float32{x}, lanes) }
	a, b := slices.Concat(block(1e-30), block(1), block(zero)), slices.Concat(block(-1e-30), block(zero), block(1))
	if ab := fusedDotF32Generic(a, b); ab != 0 || !math.Signbit(float64(ab)) {
		t.Fatalf("the product is %v, the test wants -0", ab)
	}
	for _, n := range []int{len(a), len(a) - 1, len(a) - 63} {
		if c := CosineF32(a[:n], b[:n]); c != 0 || math.Signbit(c) {
			t.Errorf("n=%d: got %v, want 0", n, c)
		}
	}
}

func TestCosineF32Shape(t *testing.T) {
	defer func() {
		if got, want := recover(), "simd: CosineF32: lengths differ"; got != want {
			t.Errorf("of 3 and 4: panic %v, want %q", got, want)
		}
	}()
	CosineF32(make([]float32, 3), make([]float32, 4))
}

func TestCosineF32DoesNotAllocate(t *testing.T) {
	a, b := make([]float32, 384), make([]float32, 384)
	b[7] = 1e-30 // the float64 path too
	if n := testing.AllocsPerRun(100, func() { CosineF32(a, b); NormF32(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCosineF32(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{384, 1536} {
		x, y := randomVector(r, n), randomVector(r, n)
		benchLevels(b, cosineF32Code, strconv.Itoa(n), func() { CosineF32(x, y) })
	}
}
