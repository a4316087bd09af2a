package simd

import "github.com/maida-ai/gomai/internal/cpu"

var axpyF32Code = cpu.Implement("AxpyF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// AxpyF32 adds alpha times x to y.
//
//	for i := range x { y[i] += alpha * x[i] }
//
// Shape:  x, y (n,), n >= 0.
// Units:  those of y are those of alpha times those of x.
// Panics: if len(x) != len(y).
// Cost:   no allocation; x and y may be the same vector, but not overlap otherwise.
// Exact:  bit-identical on every level, two roundings an element.
// Source: BLAS, SAXPY.
func AxpyF32(alpha float32, x, y []float32) {
	if len(x) != len(y) {
		panic("simd: AxpyF32: lengths differ")
	}
	for len(x) > chunk {
		axpyF32(alpha, x[:chunk], y[:chunk])
		x, y = x[chunk:], y[chunk:]
	}
	axpyF32(alpha, x, y)
}

func axpyF32Generic(alpha float32, x, y []float32) {
	for i := range x {
		y[i] += float32(alpha * x[i])
	}
}
