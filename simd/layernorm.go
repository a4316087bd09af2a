package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var layerNormF32Code = cpu.Implement("LayerNormF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// LayerNormF32 brings src to mean 0 and variance 1, then multiplies by gain and adds bias.
//
//	mean, variance := sum(src)/n, sum((src-mean)^2)/n
//	for i := range src { dst[i] = (src[i]-mean) / sqrt(variance+eps) * gain[i] + bias[i] }
//
// Shape:  dst, src, gain, bias (n,), n >= 0.
// Units:  those of gain and bias; eps in the square of those of src.
// Panics: if the lengths differ.
// Cost:   no allocation; dst may be src, but not overlap it otherwise.
// Exact:  bit-identical on every level: both sums in the order of DotF32, 1/sqrt(variance+eps) in
// float64 and rounded, four roundings an element. If an element is NaN or infinite, or a sum of squares
// is beyond float32, all results are NaN or the bias. Equal elements give the bias if eps > 0.
// Source: Ba, Kiros, Hinton, Layer Normalization, 2016; the variance is that of the population.
func LayerNormF32(dst, src, gain, bias []float32, eps float32) {
	n := len(src)
	if len(dst) != n || len(gain) != n || len(bias) != n {
		panic("simd: LayerNormF32: lengths differ")
	}
	if n == 0 {
		return
	}
	var sum, squares float32
	for rest := src; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
		sum += sumF32(rest[:min(chunk, len(rest))])
	}
	mean := sum / float32(n)
	for rest := src; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
		squares += squaresF32(rest[:min(chunk, len(rest))], mean)
	}
	variance := squares / float32(n)
	inverse := float32(1 / math.Sqrt(float64(variance)+float64(eps)))
	for i := 0; i < n; i += chunk {
		end := min(i+chunk, n)
		normaliseF32(dst[i:end], src[i:end], gain[i:end], bias[i:end], mean, inverse)
	}
}

func sumF32Generic(a []float32) float32 {
	var sum [lanes]float32
	for i, x := range a {
		sum[i%lanes] += x
	}
	return fold(&sum)
}

func squaresF32Generic(a []float32, mean float32) float32 {
	var sum [lanes]float32
	for i, x := range a {
		d := x - mean
		sum[i%lanes] += float32(d * d)
	}
	return fold(&sum)
}

func normaliseF32Generic(dst, src, gain, bias []float32, mean, inverse float32) {
	for i, x := range src {
		dst[i] = float32(float32((x-mean)*inverse)*gain[i]) + bias[i]
	}
}
