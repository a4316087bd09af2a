package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// scores has a bit of everything, near thresholds too.
func scores(r *rand.Rand, n int) []float32 {
	special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-149, -0x1p-149, 0x1p-126, math.MaxFloat32, -math.MaxFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
	v := make([]float32, n)
	for i := range v {
		if v[i] = float32(r.NormFloat64()); r.IntN(3) == 0 {
			v[i] = special[r.IntN(len(special))]
		}
	}
	return v
}

func integers(r *rand.Rand, n int) []int32 {
	special := []int32{0, 1, -1, 1 << 24, 1<<24 + 1, 1<<24 + 3, math.MaxInt32, math.MinInt32}
	v := make([]int32, n)
	for i := range v {
		if v[i] = int32(r.Uint32()) >> r.IntN(32); r.IntN(3) == 0 {
			v[i] = special[r.IntN(len(special))]
		}
	}
	return v
}

// within gives f a copy of v that stands inside a larger slice, off the start of the array, and checks
// that f leaves what is round it alone.
func within[T comparable](t *testing.T, what string, poison T, v []T, f func(v []T)) []T {
	t.Helper()
	outer := slices.Concat([]T{poison}, v, []T{poison, poison})
	inner := outer[1 : 1+len(v) : 1+len(v)]
	f(inner)
	if end := outer[1+len(v):]; outer[0] != poison || end[0] != poison || end[1] != poison {
		t.Errorf("%s: wrote outside its output", what)
	}
	return inner
}

func TestThresholds(t *testing.T) { eachLevel(t, testThresholds) }

func testThresholds(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	check := func(name string, n int, got []uint64, want func(i int) bool) {
		t.Helper()
		for i := range 64 * len(got) {
			if bit := got[i/64]>>(i%64)&1 != 0; bit != (i < n && want(i)) {
				t.Fatalf("%s, n=%d: bit %d is %v", name, n, i, bit)
			}
		}
	}
	for n := range 300 {
		x, y := scores(r, n+1)[1:], integers(r, n+1)[1:]
		x0, y0 := slices.Clone(x), slices.Clone(y)
		dirty := make([]uint64, (n+63)/64)
		for i := range dirty {
			dirty[i] = r.Uint64()
		}
		for _, threshold := range append(scores(r, 4), x...) {
			check("NotAtMostF32", n, within(t, "NotAtMostF32", 7, dirty, func(set []uint64) { NotAtMostF32(set, x, threshold) }),
				func(i int) bool { return !(x[i] <= threshold) })
			check("NotAtLeastF32", n, within(t, "NotAtLeastF32", 7, dirty, func(set []uint64) { NotAtLeastF32(set, x, threshold) }),
				func(i int) bool { return !(x[i] >= threshold) })
		}
		for _, threshold := range append(integers(r, 4), y...) {
			check("BelowI32", n, within(t, "BelowI32", 7, dirty, func(set []uint64) { BelowI32(set, y, threshold) }),
				func(i int) bool { return y[i] < threshold })
		}
		if !slices.Equal(y, y0) || !slices.EqualFunc(x, x0, sameBits) {
			t.Errorf("n=%d: an input was changed", n)
		}
	}
}

func TestLanes(t *testing.T) { eachLevel(t, testLanes) }

func testLanes(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for n := range 300 {
		x, y := scores(r, n+1)[1:], integers(r, n+1)[1:]
		var largest [16]float32
		var smallest [16]int32
		MaxLanesF32(&largest, x)
		MinLanesI32(&smallest, y)
		for l := range 16 {
			wantLargest, wantSmallest := math.Inf(-1), int32(math.MaxInt32)
			for i := l; i < n; i += 16 {
				if x[i] == x[i] {
					wantLargest = max(wantLargest, float64(x[i]))
				}
				wantSmallest = min(wantSmallest, y[i])
			}
			if float64(largest[l]) != wantLargest || smallest[l] != wantSmallest {
				t.Fatalf("n=%d, lane %d: %v and %v, want %v and %v", n, l, largest[l], smallest[l], wantLargest, wantSmallest)
			}
		}
	}
}

func sameBits(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }

// equal says whether x and y are the same value, bit for bit, or both NaN.
func equal(x, y float32) bool { return sameBits(x, y) || x != x && y != y }

func TestScale(t *testing.T) { eachLevel(t, testScale) }

func testScale(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for n := range 300 {
		x, y, factors := scores(r, n+1)[1:], integers(r, n+1)[1:], scores(r, n+1)[1:]
		x0, y0, factors0 := slices.Clone(x), slices.Clone(y), slices.Clone(factors)
		for _, factor := range scores(r, 8) {
			got := within(t, "ScaleF32", 7, make([]float32, n), func(dst []float32) { ScaleF32(dst, x, factors, factor) })
			inPlace := within(t, "ScaleF32", 7, x, func(dst []float32) { ScaleF32(dst, dst, factors, factor) })
			fromI32 := within(t, "ScaleI32F32", 7, make([]float32, n), func(dst []float32) { ScaleI32F32(dst, y, factors, factor) })
			for i := range n {
				if want := float32(float32(x[i]*factors[i]) * factor); !equal(got[i], want) || !equal(inPlace[i], want) {
					t.Fatalf("ScaleF32, n=%d: element %d is %v, in place %v, want %v", n, i, got[i], inPlace[i], want)
				}
				if want := float32(float32(float32(y[i])*factors[i]) * factor); !equal(fromI32[i], want) {
					t.Fatalf("ScaleI32F32, n=%d: element %d is %v, want %v", n, i, fromI32[i], want)
				}
			}
		}
		if !slices.EqualFunc(x, x0, sameBits) || !slices.Equal(y, y0) || !slices.EqualFunc(factors, factors0, sameBits) {
			t.Errorf("n=%d: an input was changed", n)
		}
	}
}

func TestThresholdShapes(t *testing.T) {
	x, y, set := make([]float32, 65), make([]int32, 65), make([]uint64, 1)
	for want, f := range map[string]func(){
		"simd: NotAtMostF32: set is not a bit for each element":  func() { NotAtMostF32(set, x, 0) },
		"simd: NotAtLeastF32: set is not a bit for each element": func() { NotAtLeastF32(set, x, 0) },
		"simd: BelowI32: set is not a bit for each element":      func() { BelowI32(set, y, 0) },
		"simd: ScaleF32: lengths differ":                         func() { ScaleF32(x, x, x[1:], 0) },
		"simd: ScaleI32F32: lengths differ":                      func() { ScaleI32F32(x, y[1:], x, 0) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

func TestThresholdsDoNotAllocate(t *testing.T) {
	x, y, set := make([]float32, 100), make([]int32, 100), make([]uint64, 2)
	if n := testing.AllocsPerRun(100, func() {
		NotAtMostF32(set, x, 0)
		NotAtLeastF32(set, x, 0)
		BelowI32(set, y, 0)
		MaxLanesF32(new([16]float32), x)
		MinLanesI32(new([16]int32), y)
		ScaleF32(x, x, x, 1)
		ScaleI32F32(x, y, x, 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
