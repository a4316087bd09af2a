package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSoftmaxF32Levels(t *testing.T) { eachLevel(t, testSoftmaxF32Levels) }

func testSoftmaxF32Levels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	spread := float32(1)
	scores := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = spread * float32(r.NormFloat64())
			if r.IntN(20) == 0 {
				v[i] = float32(math.Inf(-1))
			}
		}
		return v
	}
	for _, spread = range []float32{1e-3, 1, 10, 50, 1e30} {
		sameResults(t, 4*lanes+20, scores, same, SoftmaxF32)
	}
	sameResults(t, 70, func(n int) []float32 { return specials(r, n) }, same, SoftmaxF32)
}

// softmax64 is the definition, in float64.
func softmax64(src []float32) []float64 {
	shares := make([]float64, len(src))
	greatest, sum := float64(slices.Max(src)), 0.0
	for i, x := range src {
		shares[i] = math.Exp(float64(x) - greatest)
		sum += shares[i]
	}
	for i := range shares {
		shares[i] /= sum
	}
	return shares
}

func TestSoftmaxF32(t *testing.T) { eachLevel(t, testSoftmaxF32) }

func testSoftmaxF32(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 3, 17, 128, 384, 1000, chunk, 2*chunk + 77} {
		for _, spread := range []float64{1e-3, 1, 8, 40} {
			src, dst := make([]float32, n), make([]float32, n)
			for i := range src {
				src[i] = float32(spread * r.NormFloat64())
			}
			SoftmaxF32(dst, src)
			want, greatest := softmax64(src), float64(slices.Max(src))
			for i := range dst {
				d := greatest - float64(src[i])
				if d > 87.33 {
					if dst[i] != 0 {
						t.Fatalf("n=%d, %v below the greatest: got %v, want 0", n, d, dst[i])
					}
					continue
				}
				tolerance := want[i] * (d + math.Log(float64(n)) + float64(n/64) + 14) * 0x1p-24
				if diff := math.Abs(float64(dst[i]) - want[i]); !(diff <= tolerance+0x1p-149) {
					t.Fatalf("n=%d, spread %v: [%d] is %v, want %v within %v", n, spread, i, dst[i], want[i], tolerance)
				}
			}
		}
	}
}

func TestSoftmaxF32Edges(t *testing.T) { eachLevel(t, testSoftmaxF32Edges) }

func testSoftmaxF32Edges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	SoftmaxF32(nil, []float32{}) // nothing to do
	for n := 1; n < 150; n++ {
		src, dst := make([]float32, n), make([]float32, n)
		SoftmaxF32(dst, src)
		for i := range dst {
			if !(math.Abs(float64(dst[i])*float64(n)-1) < 1e-6) {
				t.Fatalf("n=%d equal values: share %v", n, dst[i])
			}
		}
		for i := range src {
			for _, x := range []float32{inf, nan} {
				src[i] = x
				SoftmaxF32(dst, src)
				if slices.ContainsFunc(dst, func(x float32) bool { return x == x }) {
					t.Fatalf("n=%d, %v at %d: got %v, want only NaN", n, x, i, dst)
				}
			}
			src[i] = -inf
			SoftmaxF32(dst, src)
			if n == 1 && dst[0] == dst[0] || n > 1 && dst[i] != 0 {
				t.Fatalf("n=%d, -Inf at %d: got %v", n, i, dst[i])
			}
			src[i] = 0
		}
		for i := range src {
			src[i] = -inf
		}
		SoftmaxF32(dst, src)
		if slices.ContainsFunc(dst, func(x float32) bool { return x == x }) {
			t.Fatalf("n=%d, all -Inf: got %v, want only NaN", n, dst)
		}
	}
}

func TestExpNegative(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	check := func(x float32) {
		got, want := float64(expNegative(x)), math.Exp(float64(x))
		if diff := math.Abs(got - want); x >= -87.33 && !(diff <= want*0x1p-23) || x < -87.33 && got != 0 {
			t.Fatalf("e^%v: got %v, want %v", x, got, want)
		}
	}
	for range 1 << 20 {
		check(float32(-90 * r.Float64()))
		check(-math.Float32frombits(r.Uint32() & 0x7f7fffff))
	}
	for _, x := range []float32{0, -87.33, math.Nextafter32(-87.33, -100), float32(math.Inf(-1))} {
		check(x)
	}
	if got := expNegative(0); got != 1 {
		t.Errorf("e^0: got %v", got)
	}
	if got := expNegative(float32(math.NaN())); got == got {
		t.Errorf("of NaN: got %v", got)
	}
}
