//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

// part returns how many of n elements the next call of assembly takes; AVX2 wants a multiple of size,
// which leaves a rest for plain Go.
func part(l cpu.Level, n, size int) int {
	n = min(n, chunk)
	if l == cpu.AVX2 {
		n -= n % size
	}
	return n
}

func largestF32(src []float32) (largest uint32) {
	l := quantizeF32I8Code.Level()
	for n := part(l, len(src), 32); n > 0 && l != cpu.Generic; n = part(l, len(src), 32) {
		if l == cpu.AVX512 {
			largest = max(largest, largestF32AVX512(&src[0], n))
		} else {
			largest = max(largest, largestF32AVX2(&src[0], n))
		}
		src = src[n:]
	}
	return max(largest, largestF32Generic(src))
}

func rangeF32(src []float32) (low, high int32) {
	l := quantizeF32U8Code.Level()
	low, high = rangeF32Generic(nil)
	for n := part(l, len(src), 32); n > 0 && l != cpu.Generic; n = part(l, len(src), 32) {
		var a, b int32
		if l == cpu.AVX512 {
			a, b = rangeF32AVX512(&src[0], n)
		} else {
			a, b = rangeF32AVX2(&src[0], n)
		}
		low, high, src = min(low, a), max(high, b), src[n:]
	}
	a, b := rangeF32Generic(src)
	return min(low, a), max(high, b)
}

func quantizeF32I8(dst []int8, src []float32, scale float32) {
	l := quantizeF32I8Code.Level()
	for n := part(l, len(src), 32); n > 0 && l != cpu.Generic; n = part(l, len(src), 32) {
		if l == cpu.AVX512 {
			quantizeF32I8AVX512(&dst[0], &src[0], n, scale)
		} else {
			quantizeF32I8AVX2(&dst[0], &src[0], n, scale)
		}
		dst, src = dst[n:], src[n:]
	}
	quantizeF32I8Generic(dst, src, scale)
}

func quantizeF32U8(dst []uint8, src []float32, scale, offset float32) {
	l := quantizeF32U8Code.Level()
	for n := part(l, len(src), 32); n > 0 && l != cpu.Generic; n = part(l, len(src), 32) {
		if l == cpu.AVX512 {
			quantizeF32U8AVX512(&dst[0], &src[0], n, scale, offset)
		} else {
			quantizeF32U8AVX2(&dst[0], &src[0], n, scale, offset)
		}
		dst, src = dst[n:], src[n:]
	}
	quantizeF32U8Generic(dst, src, scale, offset)
}

func dequantizeI8F32(dst []float32, src []int8, scale float32) {
	l := dequantizeI8F32Code.Level()
	for n := part(l, len(src), 32); n > 0 && l != cpu.Generic; n = part(l, len(src), 32) {
		if l == cpu.AVX512 {
			dequantizeI8F32AVX512(&dst[0], &src[0], n, scale)
		} else {
			dequantizeI8F32AVX2(&dst[0], &src[0], n, scale)
		}
		dst, src = dst[n:], src[n:]
	}
	dequantizeI8F32Generic(dst, src, scale)
}

func dequantizeU8F32(dst []float32, src []uint8, scale, offset float32) {
	l := dequantizeU8F32Code.Level()
	for n := part(l, len(src), 32); n > 0 && l != cpu.Generic; n = part(l, len(src), 32) {
		if l == cpu.AVX512 {
			dequantizeU8F32AVX512(&dst[0], &src[0], n, scale, offset)
		} else {
			dequantizeU8F32AVX2(&dst[0], &src[0], n, scale, offset)
		}
		dst, src = dst[n:], src[n:]
	}
	dequantizeU8F32Generic(dst, src, scale, offset)
}

func binarizeF32U64(dst []uint64, src []float32) (largest uint32) {
	l := binarizeF32U64Code.Level()
	for n := part(l, len(src), 64); n > 0 && l != cpu.Generic; n = part(l, len(src), 64) {
		if l == cpu.AVX512 {
			largest = max(largest, binarizeF32AVX512(&dst[0], &src[0], n))
		} else {
			largest = max(largest, binarizeF32AVX2(&dst[0], &src[0], n))
		}
		dst, src = dst[(n+63)/64:], src[n:]
	}
	return max(largest, binarizeF32U64Generic(dst, src))
}

//go:noescape
func largestF32AVX512(src *float32, n int) uint32

//go:noescape
func largestF32AVX2(src *float32, n int) uint32

//go:noescape
func rangeF32AVX512(src *float32, n int) (low, high int32)

//go:noescape
func rangeF32AVX2(src *float32, n int) (low, high int32)

//go:noescape
func quantizeF32I8AVX512(dst *int8, src *float32, n int, scale float32)

//go:noescape
func quantizeF32I8AVX2(dst *int8, src *float32, n int, scale float32)

//go:noescape
func quantizeF32U8AVX512(dst *uint8, src *float32, n int, scale, offset float32)

//go:noescape
func quantizeF32U8AVX2(dst *uint8, src *float32, n int, scale, offset float32)

//go:noescape
func dequantizeI8F32AVX512(dst *float32, src *int8, n int, scale float32)

//go:noescape
func dequantizeI8F32AVX2(dst *float32, src *int8, n int, scale float32)

//go:noescape
func dequantizeU8F32AVX512(dst *float32, src *uint8, n int, scale, offset float32)

//go:noescape
func dequantizeU8F32AVX2(dst *float32, src *uint8, n int, scale, offset float32)

//go:noescape
func binarizeF32AVX512(dst *uint64, src *float32, n int) uint32

//go:noescape
func binarizeF32AVX2(dst *uint64, src *float32, n int) uint32
