package simd

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// gelu64 is the definition in float64, without the cancellation of 1+erf.
func gelu64(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }

func TestGeluF32Levels(t *testing.T) { eachLevel(t, testGeluF32Levels) }

func testGeluF32Levels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sameResults(t, 100, func(n int) []float32 { return specials(r, n) }, same, GeluF32)
	sameResults(t, 100, func(n int) []float32 { return anyFloats(r, n) }, same, GeluF32)
	for range 20 {
		src := make([]float32, 2*chunk+77)
		for i := range src {
			src[i] = float32(6 * r.NormFloat64())
		}
		got, want := make([]float32, len(src)), make([]float32, len(src))
		GeluF32(got, src)
		inPlainGo(func() { GeluF32(want, src) })
		for i := range got {
			if !same(got[i], want[i]) {
				t.Fatalf("of %v: got %v, in plain Go %v", src[i], got[i], want[i])
			}
		}
	}
}

func TestGeluF32(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var src []float32
	for range 1 << 18 {
		src = append(src, float32(3*r.NormFloat64()), float32(-16*r.Float64()), math.Float32frombits(r.Uint32()))
	}
	dst := make([]float32, len(src))
	GeluF32(dst, src)
	for i, x := range src {
		if x != x || math.IsInf(float64(x), 0) {
			continue
		}
		units := 8.0
		if x < 0 {
			units += float64(x) * float64(x) / 2
		}
		want := gelu64(float64(x))
		if diff := math.Abs(float64(dst[i]) - want); !(diff <= units*0x1p-24*math.Abs(want)+0x1p-126) {
			t.Fatalf("of %v: got %v, want %v within %v units", x, dst[i], want, units)
		}
	}
}

func TestGeluF32Edges(t *testing.T) { eachLevel(t, testGeluF32Edges) }

func testGeluF32Edges(t *testing.T) {
	inf, nan, zero := float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))
	src := []float32{0, zero, inf, -inf, nan, math.MaxFloat32, -math.MaxFloat32, 20, -20}
	want := []float32{0, zero, inf, 0, nan, math.MaxFloat32, 0, 20, 0}
	for range 3 { // 9, 18 and 36 elements take different ways
		dst := make([]float32, len(src))
		GeluF32(dst, src)
		for i := range dst {
			if !same(dst[i], want[i]) {
				t.Errorf("n=%d: of %v got %v, want %v", len(src), src[i], dst[i], want[i])
			}
		}
		src, want = append(src, src...), append(want, want...)
	}
}

func allWords() []int16 {
	all := make([]int16, 1<<16)
	for i := range all {
		all[i] = int16(i)
	}
	return all
}

func TestGeluI16(t *testing.T) { eachLevel(t, testGeluI16) }

func TestGeluI16WithoutVBMI(t *testing.T) {
	for _, l := range cpu.Levels() {
		t.Run(l.String(), func(t *testing.T) {
			defer cpu.Use(l, cpu.VBMI)()
			testGeluI16(t)
		})
	}
}

func testGeluI16(t *testing.T) {
	src, dst := allWords(), make([]int16, 1<<16)
	GeluI16(dst, src)
	for i, x := range src {
		// As the documentation words it; the table is checked against GELU itself below.
		if want := max(int(x), 0) - int(geluTable[min(int(math.Abs(float64(x)))/32, 127)]); int(dst[i]) != want {
			t.Fatalf("of %d: got %d, want %d", x, dst[i], want)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	some := func(n int) []int16 {
		v := make([]int16, n)
		for i := range v {
			v[i] = int16(r.Uint32()) >> r.IntN(8)
		}
		return v
	}
	sameResults(t, 200, some, func(a, b int16) bool { return a == b }, GeluI16)
}

func TestGeluI16Error(t *testing.T) {
	src, dst := allWords(), make([]int16, 1<<16)
	GeluI16(dst, src)
	var worst float64
	for i, x := range src {
		worst = max(worst, math.Abs(float64(dst[i])-1024*gelu64(float64(x)/1024)))
	}
	if worst > 9 || worst < 7 {
		t.Errorf("the error is up to %v, want it documented closely: 9", worst)
	}
}
