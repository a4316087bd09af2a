package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	dotI8Code = cpu.Implement("DotI8", cpu.Variant{Level: cpu.AVX512VNNI}, cpu.Variant{Level: cpu.AVX512},
		cpu.Variant{Level: cpu.AVXVNNI}, cpu.Variant{Level: cpu.AVX2})
	l2I8Code     = cpu.Implement("L2I8", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	cosineI8Code = cpu.Implement("CosineI8", cpu.Variant{Level: cpu.AVX512VNNI}, cpu.Variant{Level: cpu.AVX512},
		cpu.Variant{Level: cpu.AVX2})
)

// maxDotI8 is the longest vector whose dot product fits an int32 even if every product is -128*-128.
const maxDotI8 = 131071

// maxL2I8 is the longest vector whose squared distance fits an int32 even if every difference is 255.
const maxL2I8 = 33025

// DotI8 returns the sum of a[i]*b[i].
//
//	for i := range a { sum += int32(a[i]) * int32(b[i]) }
//
// Shape:  a, b (n,), n <= 131071 (no overflow at -128*-128); 0 for n = 0.
// Units:  quanta; multiply by scaleA*scaleB for reals.
// Panics: if len(a) != len(b), or n is too large.
// Cost:   no allocation; a and b may overlap.
// Exact:  every level gives the exact sum.
// Source: the definition.
func DotI8(a, b []int8) int32 {
	if len(a) != len(b) {
		panic("simd: DotI8: lengths differ")
	}
	if len(a) > maxDotI8 {
		panic("simd: DotI8: too long, the sum may overflow")
	}
	return dotI8(a, b)
}

func dotI8Generic(a, b []int8) int32 {
	b = b[:len(a)]
	var sum int32
	for i, x := range a {
		sum += int32(x) * int32(b[i])
	}
	return sum
}

// L2I8 returns the square of the Euclidean distance, the sum of (a[i]-b[i])^2.
//
//	for i := range a { d := int32(a[i]) - int32(b[i]); sum += d * d }
//
// Shape:  a, b (n,), n <= 33025 (no overflow at 127 - -128); 0 for n = 0.
// Units:  quanta squared; multiply by the square of the common scale for reals.
// Panics: if len(a) != len(b), or n is too large.
// Cost:   no allocation; a and b may overlap.
// Exact:  every level gives the exact sum.
// Source: the definition.
func L2I8(a, b []int8) int32 {
	if len(a) != len(b) {
		panic("simd: L2I8: lengths differ")
	}
	if len(a) > maxL2I8 {
		panic("simd: L2I8: too long, the sum may overflow")
	}
	return l2I8(a, b)
}

func l2I8Generic(a, b []int8) int32 {
	b = b[:len(a)]
	var sum int32
	for i, x := range a {
		d := int32(x) - int32(b[i])
		sum += d * d
	}
	return sum
}

// CosineI8 returns the cosine of the angle between a and b.
//
//	for i := range a { ab += a[i]*b[i]; aa += a[i]*a[i]; bb += b[i]*b[i] }
//	return ab / sqrt(aa*bb)
//
// Shape:  a, b (n,), n <= 131071 (no overflow at -128*-128).
// Units:  none: scales cancel. 0 if a or b is all zero (n = 0 included), otherwise in [-1, 1].
// Panics: if len(a) != len(b), or n is too large.
// Cost:   no allocation; a and b may overlap.
// Exact:  bit-identical on every level: the sums are exact, the end is in float64, with an error of
// at most 3 * 2^-53.
// Source: the definition.
func CosineI8(a, b []int8) float64 {
	if len(a) != len(b) {
		panic("simd: CosineI8: lengths differ")
	}
	if len(a) > maxDotI8 {
		panic("simd: CosineI8: too long, the sums may overflow")
	}
	ab, aa, bb := cosineI8(a, b)
	if aa == 0 || bb == 0 {
		return 0
	}
	// The product of two int32 is exact in 62 bits, not in float64: one rounding, one for the root
	// and one for the quotient, which Cauchy-Schwarz lets exceed 1 by rounding only.
	return max(-1, min(1, float64(ab)/math.Sqrt(float64(int64(aa)*int64(bb)))))
}

func cosineI8Generic(a, b []int8) (ab, aa, bb int32) {
	b = b[:len(a)]
	for i, x := range a {
		x, y := int32(x), int32(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	return ab, aa, bb
}
