package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	quantizeF32I8Code   = cpu.Implement("QuantizeF32I8", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	quantizeF32U8Code   = cpu.Implement("QuantizeF32U8", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	dequantizeI8F32Code = cpu.Implement("DequantizeI8F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	dequantizeU8F32Code = cpu.Implement("DequantizeU8F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	binarizeF32U64Code  = cpu.Implement("BinarizeF32U64", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
)

// infinite is the bits of +Inf: without the sign, those of what is not finite are as large or larger.
const infinite = 0x7f800000

// leastScale is the smallest normal number. A smaller scale would have too few bits: a row of
// 190 * 2^-149 would be 190 quanta of 2^-149, more than there are.
const leastScale = 0x1p-126

// greatestScale is the largest one of which 127 quanta are finite.
const greatestScale = 0x1.020406p+121

// tooLargeU8 is the bits of 2^126. Of smaller numbers the range, 255 quanta of it, and those above the
// offset are finite, however they are rounded.
const tooLargeU8 = 0x7e800000

// QuantizeF32I8 writes src to dst in quanta of scale, the 127th part of the largest |src[i]|.
//
//	scale = min(max(max(|src[i]|)/127, 2^-126), the largest float32 of which 127 are finite)
//	for i := range dst { dst[i] = round(src[i] / scale) }
//
// A row of zeros, or of none, has scale 0. A row with a NaN or an infinity has no vector: its scale is
// NaN, which makes every product with it NaN, and dst is 0.
//
// Shape:  dst, src (n,), n >= 0.
// Units:  scale in those of src; dst in quanta, -127 to 127.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; src is read twice.
// Exact:  bit-identical on every level: IEEE division, rounding to nearest, ties to even. The error
// |src[i] - scale*dst[i]| is at most scale * (1/2 + 2^-16).
// Source: the definition.
func QuantizeF32I8(dst []int8, src []float32) (scale float32) {
	if len(dst) != len(src) {
		panic("simd: QuantizeF32I8: lengths differ")
	}
	largest := largestF32(src)
	if largest >= infinite || largest == 0 {
		clear(dst)
		if largest == 0 {
			return 0
		}
		return float32(math.NaN())
	}
	scale = min(max(math.Float32frombits(largest)/127, leastScale), greatestScale)
	quantizeF32I8(dst, src, scale)
	return scale
}

// largestF32Generic returns the largest bits without sign: those of the largest number, or of what is
// not finite.
func largestF32Generic(src []float32) (largest uint32) {
	for _, x := range src {
		largest = max(largest, math.Float32bits(x)&^(1<<31))
	}
	return largest
}

func quantizeF32I8Generic(dst []int8, src []float32, scale float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		// At most 127 * (1 + 2^-22), which rounds to 127.
		dst[i] = int8(math.RoundToEven(float64(x / scale)))
	}
}

// QuantizeF32U8 writes src to dst in quanta of scale, the 255th part of its range, above offset, its minimum.
//
//	offset = min(src); scale = max((max(src)-offset)/255, 2^-126)
//	for i := range dst { dst[i] = round((src[i] - offset) / scale) }
//
// The offset is not rounded to a whole number of quanta: src[i] is about scale*dst[i] + offset. A row of
// equal numbers has scale 0 and is exact, a row of none has offset 0 too. A row with a NaN or with a
// number of 2^126 (8.5e37) or more, by size, has no vector: scale and offset are NaN, and dst is 0.
//
// Shape:  dst, src (n,), n >= 0.
// Units:  scale and offset in those of src; dst in quanta, 0 to 255.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; src is read twice.
// Exact:  bit-identical on every level: IEEE subtraction and division, rounding to nearest, ties to
// even; -0 counts as less than 0. The error |src[i] - (scale*dst[i] + offset)| is at most
// scale * (1/2 + 2^-15).
// Source: the definition.
func QuantizeF32U8(dst []uint8, src []float32) (scale, offset float32) {
	if len(dst) != len(src) {
		panic("simd: QuantizeF32U8: lengths differ")
	}
	scale, offset = scaleU8(src)
	if !(scale > 0) {
		clear(dst)
		return scale, offset
	}
	quantizeF32U8(dst, src, scale, offset)
	return scale, offset
}

// scaleU8 returns the scale and the offset of QuantizeF32U8. Unless the scale is above 0 all quanta are 0.
func scaleU8(src []float32) (scale, offset float32) {
	if len(src) == 0 {
		return 0, 0
	}
	low, high := rangeF32(src)
	if high >= tooLargeU8 || low <= inOrder(tooLargeU8|1<<31) {
		return float32(math.NaN()), float32(math.NaN())
	}
	offset = math.Float32frombits(uint32(inOrder(uint32(low))))
	width := math.Float32frombits(uint32(inOrder(uint32(high)))) - offset
	if width == 0 {
		return 0, offset
	}
	return max(width/255, leastScale), offset
}

// inOrder maps the bits of float32 to integers that compare as the numbers do, -NaN first, NaN last, and back.
func inOrder(bits uint32) int32 { return int32(bits) ^ int32(uint32(int32(bits)>>31)>>1) }

func rangeF32Generic(src []float32) (low, high int32) {
	low, high = math.MaxInt32, math.MinInt32
	for _, x := range src {
		v := inOrder(math.Float32bits(x))
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

func quantizeF32U8Generic(dst []uint8, src []float32, scale, offset float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		// At most 255 * (1 + 2^-22), which rounds to 255.
		dst[i] = uint8(math.RoundToEven(float64((x - offset) / scale)))
	}
}

// DequantizeI8F32 writes to dst the numbers that src stands for.
//
//	for i := range dst { dst[i] = scale * float32(src[i]) }
//
// Shape:  dst, src (n,), n >= 0.
// Units:  dst in those of scale.
// Panics: if len(dst) != len(src).
// Cost:   no allocation.
// Exact:  bit-identical on every level, one rounding. All NaN if scale is.
// Source: the definition.
func DequantizeI8F32(dst []float32, src []int8, scale float32) {
	if len(dst) != len(src) {
		panic("simd: DequantizeI8F32: lengths differ")
	}
	dequantizeI8F32(dst, src, scale)
}

func dequantizeI8F32Generic(dst []float32, src []int8, scale float32) {
	dst = dst[:len(src)]
	for i, q := range src {
		dst[i] = scale * float32(q)
	}
}

// DequantizeU8F32 writes to dst the numbers that src stands for.
//
//	for i := range dst { dst[i] = scale*float32(src[i]) + offset }
//
// Shape:  dst, src (n,), n >= 0.
// Units:  dst in those of scale and offset.
// Panics: if len(dst) != len(src).
// Cost:   no allocation.
// Exact:  bit-identical on every level, the product rounded before it is added. All NaN if scale is.
// Source: the definition.
func DequantizeU8F32(dst []float32, src []uint8, scale, offset float32) {
	if len(dst) != len(src) {
		panic("simd: DequantizeU8F32: lengths differ")
	}
	dequantizeU8F32(dst, src, scale, offset)
}

func dequantizeU8F32Generic(dst []float32, src []uint8, scale, offset float32) {
	dst = dst[:len(src)]
	for i, q := range src {
		dst[i] = float32(scale*float32(q)) + offset
	}
}

// BinarizeF32U64 writes the signs of src to dst, a bit each, 1 for what is greater than 0, and tells
// whether all of src is finite: a vector of bits cannot say it. The bits after the last one are 0.
//
//	for i := range src { if src[i] > 0 { dst[i/64] |= 1 << (i%64) } }
//
// Shape:  src (n,), dst (n/64,) rounded up; n >= 0.
// Units:  none.
// Panics: if len(dst) != (len(src)+63)/64.
// Cost:   no allocation.
// Exact:  the same bits on every level; 0 for a NaN, as for 0 and -0.
// Source: the definition.
func BinarizeF32U64(dst []uint64, src []float32) (finite bool) {
	if len(dst) != (len(src)+63)/64 {
		panic("simd: BinarizeF32U64: dst is not one word for 64 elements")
	}
	return binarizeF32U64(dst, src) < infinite
}

// binarizeF32U64Generic also returns what largestF32Generic does.
func binarizeF32U64Generic(dst []uint64, src []float32) (largest uint32) {
	clear(dst)
	for i, x := range src {
		if x > 0 {
			dst[i/64] |= 1 << (i % 64)
		}
		largest = max(largest, math.Float32bits(x)&^(1<<31))
	}
	return largest
}
