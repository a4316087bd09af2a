package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/fma"
)

var cosineF32Code = cpu.Implement("CosineF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// CosineF32 returns the cosine of the angle between a and b: 1 for one direction, 0 for a right
// angle, -1 for opposite directions.
//
//	for i := range a { ab = fma(a[i], b[i], ab); aa = fma(a[i], a[i], aa); bb = fma(b[i], b[i], bb) }; ab / sqrt(aa*bb)
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  none.
// Panics: if len(a) != len(b).
// Cost:   no allocation; a and b may overlap.
// Exact:  bit-identical on every level. The three sums are made in the order of DotF32, but products
// are not rounded before they are added; the end is in float64. The error is at most (n/64+8) * 2^-23, less than 2e-6 at 384 components, for tiny and huge vectors
// too: where a sum does not fit into float32, all are made in float64. The result is never outside
// [-1, 1]. It is 0 if a or b is the zero vector, NaN if a component is infinite or NaN.
// Source: the definition.
func CosineF32(a, b []float32) float64 {
	if len(a) != len(b) {
		panic("simd: CosineF32: lengths differ")
	}
	if c := cosineF32(a, b); c == c {
		return c
	}
	product, square := dot64(a, b), dot64(a, a)*dot64(b, b)
	if square == 0 {
		return 0
	}
	return max(-1, min(1, product/math.Sqrt(square)))
}

// cosineOfThreeDots makes the sums one after another: three times 64 partial sums are more than a
// processor without AVX-512 keeps in registers.
func cosineOfThreeDots(a, b []float32) float64 {
	return cosineOfDots(fusedDotF32(a, b), fusedDotF32(a, a), fusedDotF32(b, b))
}

// fusedDotF32Generic is dotF32Generic with fused products. Three of each load are what makes fusing
// worth its emulation here.
func fusedDotF32Generic(a, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return fusedDotF32Generic(a[:cut], b[:cut]) + fusedDotF32Generic(a[cut:], b[cut:])
	}
	var sum [lanes]float32
	for len(a) >= lanes {
		x, y := (*[lanes]float32)(a), (*[lanes]float32)(b)
		for l := range sum { // fma.F32, which is too large to be inlined
			if s := float64(x[l])*float64(y[l]) + float64(sum[l]); fma.RoundsAgain(s) {
				sum[l] = float32(s)
			} else {
				sum[l] = fma.Exact(x[l], y[l], sum[l])
			}
		}
		a, b = a[lanes:], b[lanes:]
	}
	for l := range a {
		sum[l] = fma.F32(a[l], b[l], sum[l])
	}
	return fold(&sum)
}

// cosineOfDots is the end of a cosine. It is NaN if float32 did not hold the squares: below 2^-80 single
// ones may be denormal, down to zero for vectors that are not. Up to 2^126 no product overflows, because
// 2*|ab| <= aa + bb.
func cosineOfDots(ab, aa, bb float32) float64 {
	const least, greatest = 0x1p-80, 0x1p126
	if !(aa > least && aa <= greatest && bb > least && bb <= greatest) {
		return math.NaN()
	}
	if ab == 0 {
		return 0 // not -0, which only some levels make
	}
	return max(-1, min(1, float64(ab)/math.Sqrt(float64(aa)*float64(bb))))
}
