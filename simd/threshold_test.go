package simd

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
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
				if want := float32(float32(x[i]*factors[i]) * factor); !same(got[i], want) || !same(inPlace[i], want) {
					t.Fatalf("ScaleF32, n=%d: element %d is %v, in place %v, want %v", n, i, got[i], inPlace[i], want)
				}
				if want := float32(float32(float32(y[i])*factors[i]) * factor); !same(fromI32[i], want) {
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
	wantPanic(t, "simd: NotAtMostF32: set is not a bit for each element", func() { NotAtMostF32(set, x, 0) })
	wantPanic(t, "simd: NotAtLeastF32: set is not a bit for each element", func() { NotAtLeastF32(set, x, 0) })
	wantPanic(t, "simd: BelowI32: set is not a bit for each element", func() { BelowI32(set, y, 0) })
	wantPanic(t, "simd: ScaleF32: lengths differ", func() { ScaleF32(x, x, x[1:], 0) })
	wantPanic(t, "simd: ScaleI32F32: lengths differ", func() { ScaleI32F32(x, y[1:], x, 0) })
}

// More elements than one call of assembly takes.
func TestThresholdsInParts(t *testing.T) { eachLevel(t, testThresholdsInParts) }

func testThresholdsInParts(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	const n = 2*chunk + 100
	checkThresholds(t, scores(r, n), scores(r, n), integers(r, n), 0.5, 3)
}

// blockResult is what the primitives of this file make of blocks of scores.
type blockResult struct {
	above, below, belowI32 []uint64
	scaled, fromI32        []float32
	largest                [16]float32
	smallest               [16]int32
}

func newBlockResult(n int) *blockResult {
	words := (n + 63) / 64
	return &blockResult{above: make([]uint64, words), below: make([]uint64, words), belowI32: make([]uint64, words),
		scaled: make([]float32, n), fromI32: make([]float32, n)}
}

func (b *blockResult) fill(x, factors []float32, y []int32, threshold float32, thresholdI32 int32) {
	NotAtMostF32(b.above, x, threshold)
	NotAtLeastF32(b.below, x, threshold)
	BelowI32(b.belowI32, y, thresholdI32)
	ScaleF32(b.scaled, x, factors, threshold)
	ScaleI32F32(b.fromI32, y, factors, threshold)
	MaxLanesF32(&b.largest, x)
	MinLanesI32(&b.smallest, y)
}

// checkThresholds compares the active level with plain Go.
func checkThresholds(t *testing.T, x, factors []float32, y []int32, threshold float32, thresholdI32 int32) {
	t.Helper()
	got, want := newBlockResult(len(x)), newBlockResult(len(x))
	got.fill(x, factors, y, threshold, thresholdI32)
	notAtMostF32Generic(want.above, x, threshold)
	notAtLeastF32Generic(want.below, x, threshold)
	belowI32Generic(want.belowI32, y, thresholdI32)
	scaleF32Generic(want.scaled, x, factors, threshold)
	scaleI32F32Generic(want.fromI32, y, factors, threshold)
	maxLanesF32Generic(&want.largest, x)
	minLanesI32Generic(&want.smallest, y)
	if !slices.Equal(got.above, want.above) || !slices.Equal(got.below, want.below) || !slices.Equal(got.belowI32, want.belowI32) ||
		!slices.EqualFunc(got.scaled, want.scaled, same) || !slices.EqualFunc(got.fromI32, want.fromI32, same) ||
		got.largest != want.largest || got.smallest != want.smallest {
		t.Errorf("n=%d, thresholds %v and %d: the level differs from plain Go", len(x), threshold, thresholdI32)
	}
}

func TestThresholdsStayInside(t *testing.T) { eachLevel(t, testThresholdsStayInside) }

func testThresholdsStayInside(t *testing.T) {
	const most = 200
	r := rand.New(rand.NewPCG(19, 20))
	var f, g, d [2][]float32
	var i [2][]int32
	var s [2][]uint64
	f[0], f[1] = guarded[float32](t, most)
	g[0], g[1] = guarded[float32](t, most)
	d[0], d[1] = guarded[float32](t, most)
	i[0], i[1] = guarded[int32](t, most)
	s[0], s[1] = guarded[uint64](t, (most+63)/64)
	for n := range most + 1 {
		for side := range 2 {
			cut := func(all int, n int) (int, int) {
				if side == 0 { // before the page behind them
					return all - n, all
				}
				return 0, n
			}
			at, end := cut(most, n)
			x, factors, dst, y := f[side][at:end], g[side][at:end], d[side][at:end], i[side][at:end]
			at, end = cut(len(s[side]), (n+63)/64)
			set := s[side][at:end]
			copy(x, scores(r, n))
			copy(factors, scores(r, n))
			copy(y, integers(r, n))
			b := blockResult{above: set, below: set, belowI32: set, scaled: dst, fromI32: dst}
			b.fill(x, factors, y, 0.5, 3)
			want := newBlockResult(n)
			want.fill(slices.Clone(x), slices.Clone(factors), slices.Clone(y), 0.5, 3)
			if !slices.Equal(set, want.belowI32) || !slices.EqualFunc(dst, want.fromI32, same) {
				t.Errorf("n=%d: another result beside a page that may not be touched", n)
			}
		}
	}
}

func FuzzThresholds(f *testing.F) {
	f.Add([]byte("\x00\x00\x80\x3f\x00\x00\x80\xbf and some more, so that a whole vector is there, and another"), float32(1), int32(0))
	f.Add(bytes.Repeat([]byte{0, 0, 0xc0, 0x7f, 1}, 100), float32(math.NaN()), int32(-1))
	f.Fuzz(func(t *testing.T, data []byte, threshold float32, thresholdI32 int32) {
		n := min(len(data)/4, 500)
		x, y := make([]float32, n), make([]int32, n)
		for i := range n {
			bits := binary.LittleEndian.Uint32(data[4*i:])
			x[i], y[i] = math.Float32frombits(bits), int32(bits)
		}
		factors := slices.Clone(x)
		slices.Reverse(factors)
		for _, l := range cpu.Levels() {
			restore := cpu.Use(l, 0)
			checkThresholds(t, x, factors, y, threshold, thresholdI32)
			restore()
		}
	})
}

func BenchmarkThresholds(b *testing.B) {
	const n = 1000
	r := rand.New(rand.NewPCG(21, 22))
	x, factors, y := randomVector(r, n), randomVector(r, n), integers(r, n)
	res := newBlockResult(n)
	size := strconv.Itoa(n)
	benchLevels(b, notAtMostF32Code, size, func() { NotAtMostF32(res.above, x, 1) })
	benchLevels(b, notAtLeastF32Code, size, func() { NotAtLeastF32(res.below, x, 1) })
	benchLevels(b, belowI32Code, size, func() { BelowI32(res.belowI32, y, 1) })
	benchLevels(b, maxLanesF32Code, size, func() { MaxLanesF32(&res.largest, x) })
	benchLevels(b, minLanesI32Code, size, func() { MinLanesI32(&res.smallest, y) })
	benchLevels(b, scaleF32Code, size, func() { ScaleF32(res.scaled, x, factors, 0.5) })
	benchLevels(b, scaleI32F32Code, size, func() { ScaleI32F32(res.fromI32, y, factors, 0.5) })
}

func TestThresholdsDoNotAllocate(t *testing.T) { eachLevel(t, testThresholdsDoNotAllocate) }

func testThresholdsDoNotAllocate(t *testing.T) {
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
