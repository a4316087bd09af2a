//go:build !amd64 || noasm

package simd

func sumF32(a []float32) float32 { return sumF32Generic(a) }

func squaresF32(a []float32, mean float32) float32 { return squaresF32Generic(a, mean) }

func normaliseF32(dst, src, gain, bias []float32, mean, inverse float32) {
	normaliseF32Generic(dst, src, gain, bias, mean, inverse)
}
