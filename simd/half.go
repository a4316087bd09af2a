package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	dotF16Code         = cpu.Implement("DotF16", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	dotBF16Code        = cpu.Implement("DotBF16", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	dotF16F32Code      = cpu.Implement("DotF16F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	convertF16F32Code  = cpu.Implement("ConvertF16F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	convertF32F16Code  = cpu.Implement("ConvertF32F16", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	convertBF16F32Code = cpu.Implement("ConvertBF16F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	convertF32BF16Code = cpu.Implement("ConvertF32BF16", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
)

// Float16 holds the bits of an IEEE 754 binary16: 5 of exponent, 10 of fraction.
type Float16 uint16

// BFloat16 holds the upper half of the bits of a float32: 8 of exponent, 7 of fraction.
type BFloat16 uint16

// DotF16 returns the sum of a[i]*b[i], computed in float32.
//
//	for i := range a { sum[i%64] += float32(a[i]) * float32(b[i]) }
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  those of a times those of b.
// Panics: if len(a) != len(b).
// Cost:   no allocation; a and b may overlap.
// Exact:  bit-identical on every level: DotF32 of the widened vectors. Products are exact.
// Source: the definition.
func DotF16(a, b []Float16) float32 {
	if len(a) != len(b) {
		panic("simd: DotF16: lengths differ")
	}
	return dotF16(a, b)
}

func dotF16Generic(a, b []Float16) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotF16Generic(a[:cut], b[:cut]) + dotF16Generic(a[cut:], b[cut:])
	}
	var sum [lanes]float32
	for i := range a {
		sum[i%lanes] += float32(widenF16(a[i]) * widenF16(b[i]))
	}
	return fold(&sum)
}

// DotBF16 returns the sum of a[i]*b[i], computed in float32.
//
//	for i := range a { sum[i%64] += float32(a[i]) * float32(b[i]) }
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  those of a times those of b.
// Panics: if len(a) != len(b).
// Cost:   no allocation; a and b may overlap.
// Exact:  bit-identical on every level: DotF32 of the widened vectors. Products are exact unless they
// underflow.
// Source: the definition.
func DotBF16(a, b []BFloat16) float32 {
	if len(a) != len(b) {
		panic("simd: DotBF16: lengths differ")
	}
	return dotBF16(a, b)
}

func dotBF16Generic(a, b []BFloat16) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotBF16Generic(a[:cut], b[:cut]) + dotBF16Generic(a[cut:], b[cut:])
	}
	var sum [lanes]float32
	for i := range a {
		sum[i%lanes] += float32(widenBF16(a[i]) * widenBF16(b[i]))
	}
	return fold(&sum)
}

// DotF16F32 returns the sum of a[i]*b[i], computed in float32.
//
//	for i := range a { sum[i%64] += float32(a[i]) * b[i] }
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  those of a times those of b.
// Panics: if len(a) != len(b).
// Cost:   no allocation.
// Exact:  bit-identical on every level: DotF32 of the widened vectors, with its error.
// Source: the definition.
func DotF16F32(a []Float16, b []float32) float32 {
	if len(a) != len(b) {
		panic("simd: DotF16F32: lengths differ")
	}
	return dotF16F32(a, b)
}

func dotF16F32Generic(a []Float16, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotF16F32Generic(a[:cut], b[:cut]) + dotF16F32Generic(a[cut:], b[cut:])
	}
	var sum [lanes]float32
	for i := range a {
		sum[i%lanes] += float32(widenF16(a[i]) * b[i])
	}
	return fold(&sum)
}

// ConvertF16F32 sets dst to the values of src.
//
//	for i := range src { dst[i] = float32(src[i]) }
//
// Shape:  dst, src (n,), n >= 0.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst and src must not overlap.
// Exact:  yes, denormals too; a NaN keeps its sign and payload and becomes quiet. The same bits on
// every level.
// Source: IEEE 754-2019, 3.6.
func ConvertF16F32(dst []float32, src []Float16) {
	if len(dst) != len(src) {
		panic("simd: ConvertF16F32: lengths differ")
	}
	for len(src) > chunk {
		convertF16F32(dst[:chunk], src[:chunk])
		dst, src = dst[chunk:], src[chunk:]
	}
	convertF16F32(dst, src)
}

func convertF16F32Generic(dst []float32, src []Float16) {
	for i, h := range src {
		dst[i] = widenF16(h)
	}
}

func widenF16(h Float16) float32 {
	sign, exponent, fraction := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch {
	case exponent == 0:
		return math.Float32frombits(math.Float32bits(float32(fraction)*0x1p-24) | sign)
	case exponent == 0x1f && fraction == 0:
		return math.Float32frombits(0x7f800000 | sign)
	case exponent == 0x1f:
		return math.Float32frombits(0x7fc00000 | fraction<<13 | sign)
	}
	return math.Float32frombits((exponent+127-15)<<23 | fraction<<13 | sign)
}

// ConvertF32F16 sets dst to the values of src, rounded to nearest, ties to even.
//
//	for i := range src { dst[i] = Float16(src[i]) }
//
// Shape:  dst, src (n,), n >= 0.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst and src must not overlap.
// Exact:  correctly rounded, denormals too: from 65520 on the result is infinite, up to 2^-25 it is
// zero. A NaN keeps its sign and the upper bits of its payload and becomes quiet. The same bits on
// every level.
// Source: IEEE 754-2019, 3.6 and 4.3.1.
func ConvertF32F16(dst []Float16, src []float32) {
	if len(dst) != len(src) {
		panic("simd: ConvertF32F16: lengths differ")
	}
	for len(src) > chunk {
		convertF32F16(dst[:chunk], src[:chunk])
		dst, src = dst[chunk:], src[chunk:]
	}
	convertF32F16(dst, src)
}

func convertF32F16Generic(dst []Float16, src []float32) {
	for i, x := range src {
		dst[i] = roundF16(x)
	}
}

// roundF16 rounds to the nearest, ties to even.
func roundF16(x float32) Float16 {
	const (
		infinite = 0x7f800000
		tooLarge = 0x477ff000 // 65520, the middle between the largest Float16 and the next power of two
		normal   = 0x38800000 // 2^-14
		half     = 0x3f000000 // 0.5, whose last place is the smallest Float16, 2^-24
	)
	bits := math.Float32bits(x)
	sign, bits := Float16(bits>>16&0x8000), bits&^(1<<31)
	switch {
	case bits > infinite:
		return sign | 0x7e00 | Float16(bits>>13&0x3ff)
	case bits >= tooLarge:
		return sign | 0x7c00
	case bits < normal:
		return sign | Float16(math.Float32bits(math.Float32frombits(bits)+0.5)-half)
	}
	return sign | Float16((bits-(127-15)<<23+0xfff+bits>>13&1)>>13)
}

// ConvertBF16F32 sets dst to the values of src.
//
//	for i := range src { dst[i] = float32(src[i]) }
//
// Shape:  dst, src (n,), n >= 0.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst and src must not overlap.
// Exact:  yes, bit for bit: a BFloat16 is the upper half of a float32.
// Source: the definition.
func ConvertBF16F32(dst []float32, src []BFloat16) {
	if len(dst) != len(src) {
		panic("simd: ConvertBF16F32: lengths differ")
	}
	for len(src) > chunk {
		convertBF16F32(dst[:chunk], src[:chunk])
		dst, src = dst[chunk:], src[chunk:]
	}
	convertBF16F32(dst, src)
}

func convertBF16F32Generic(dst []float32, src []BFloat16) {
	for i, h := range src {
		dst[i] = widenBF16(h)
	}
}

func widenBF16(h BFloat16) float32 { return math.Float32frombits(uint32(h) << 16) }

// ConvertF32BF16 sets dst to the values of src, rounded to nearest, ties to even.
//
//	for i := range src { dst[i] = BFloat16(src[i]) }
//
// Shape:  dst, src (n,), n >= 0.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst and src must not overlap.
// Exact:  correctly rounded, denormals too. A NaN keeps its sign and the upper bits of its payload and
// becomes quiet. The same bits on every level.
// Source: IEEE 754-2019, 4.3.1.
func ConvertF32BF16(dst []BFloat16, src []float32) {
	if len(dst) != len(src) {
		panic("simd: ConvertF32BF16: lengths differ")
	}
	for len(src) > chunk {
		convertF32BF16(dst[:chunk], src[:chunk])
		dst, src = dst[chunk:], src[chunk:]
	}
	convertF32BF16(dst, src)
}

func convertF32BF16Generic(dst []BFloat16, src []float32) {
	for i, x := range src {
		dst[i] = roundBF16(x)
	}
}

// roundBF16 rounds to the nearest, ties to even.
func roundBF16(x float32) BFloat16 {
	bits := math.Float32bits(x)
	if x != x {
		return BFloat16(bits>>16 | 0x40)
	}
	return BFloat16((bits + 0x7fff + bits>>16&1) >> 16)
}
