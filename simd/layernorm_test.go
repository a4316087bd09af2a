package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestLayerNormF32Levels(t *testing.T) { eachLevel(t, testLayerNormF32Levels) }

func testLayerNormF32Levels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const most = 4*lanes + 20
	lastGain, firstGain := guarded[float32](t, most)
	lastBias, firstBias := guarded[float32](t, most)
	copy(lastGain, randomVector(r, most))
	copy(lastBias, randomVector(r, most))
	for _, src := range []func(n int) []float32{
		func(n int) []float32 { return randomVector(r, n) },
		func(n int) []float32 { return specials(r, n) },
	} {
		sameResults(t, most, src, same, func(dst, src []float32) {
			LayerNormF32(dst, src, lastGain[most-len(src):], lastBias[most-len(src):], 1e-5)
		})
		sameResults(t, 70, src, same, func(dst, src []float32) {
			LayerNormF32(dst, src, firstGain[:len(src)], firstBias[:len(src)], 1e-5)
		})
	}
}

func TestLayerNormF32(t *testing.T) { eachLevel(t, testLayerNormF32) }

func testLayerNormF32(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const eps = 1e-5
	for _, n := range []int{1, 2, 3, 64, 100, 384, 1000, chunk + 1, 2*chunk + 77} {
		src, dst, gain, bias := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range src {
			src[i], gain[i], bias[i] = float32(3+2*r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())
		}
		var mean, variance float64
		for _, x := range src {
			mean += float64(x) / float64(n)
		}
		for _, x := range src {
			variance += (float64(x) - mean) * (float64(x) - mean) / float64(n)
		}
		LayerNormF32(dst, src, gain, bias, eps)
		for i := range dst {
			scaled := (float64(src[i]) - mean) / math.Sqrt(variance+eps) * float64(gain[i])
			want := scaled + float64(bias[i])
			// The mean is off by some units of its last place, the more so the longer the sum.
			unit := (float64(min(n, chunk)/64) + 20) * 0x1p-24
			tolerance := unit * (math.Abs(scaled) + math.Abs(float64(bias[i])) + 10*math.Abs(float64(gain[i]))/math.Sqrt(variance+eps))
			if diff := math.Abs(float64(dst[i]) - want); !(diff <= tolerance) {
				t.Fatalf("n=%d: [%d] is %v, want %v within %v", n, i, dst[i], want, tolerance)
			}
		}
	}
}

func TestLayerNormF32Edges(t *testing.T) { eachLevel(t, testLayerNormF32Edges) }

func testLayerNormF32Edges(t *testing.T) {
	LayerNormF32(nil, nil, nil, []float32{}, 0) // nothing to do
	for n := 1; n < 150; n++ {
		src, dst, gain, bias := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range src {
			src[i], gain[i], bias[i] = 4, 7, float32(i)
		}
		LayerNormF32(dst, src, gain, bias, 1e-5)
		for i := range dst {
			if dst[i] != bias[i] {
				t.Fatalf("n=%d equal values: [%d] is %v, want the bias %v", n, i, dst[i], bias[i])
			}
		}
		for i := range src {
			for _, x := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
				src[i] = x
				LayerNormF32(dst, src, gain, bias, 1e-5)
				for j := range dst {
					if dst[j] == dst[j] {
						t.Fatalf("n=%d, %v at %d: [%d] is %v, want NaN", n, x, i, j, dst[j])
					}
				}
			}
			src[i] = 4
		}
	}
}
