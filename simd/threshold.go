package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

// What a search does with a block of scores: bring them to one scale, and find the few that may be
// among the best without looking at each.

var (
	notAtMostF32Code  = cpu.Implement("NotAtMostF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	notAtLeastF32Code = cpu.Implement("NotAtLeastF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	belowI32Code      = cpu.Implement("BelowI32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	scaleF32Code      = cpu.Implement("ScaleF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	maxLanesF32Code   = cpu.Implement("MaxLanesF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	minLanesI32Code   = cpu.Implement("MinLanesI32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	scaleI32F32Code   = cpu.Implement("ScaleI32F32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
)

// NotAtMostF32 sets bit i%64 of set[i/64] if x[i] is not t or less, so a NaN in x or t sets it too.
// Bits beyond len(x) become zero.
//
//	for i := range x { if !(x[i] <= t) { set[i/64] |= 1 << (i%64) } }
//
// Shape:  x (n,), set ((n+63)/64,); n >= 0.
// Units:  t has those of x.
// Panics: if len(set) != (len(x)+63)/64.
// Cost:   no allocation; set and x do not overlap.
// Exact:  every level gives the same bits.
// Source: the definition.
func NotAtMostF32(set []uint64, x []float32, t float32) {
	if len(set) != (len(x)+63)/64 {
		panic("simd: NotAtMostF32: set is not a bit for each element")
	}
	for len(x) > chunk {
		notAtMostF32(set[:chunk/64], x[:chunk], t)
		set, x = set[chunk/64:], x[chunk:]
	}
	notAtMostF32(set, x, t)
}

func notAtMostF32Generic(set []uint64, x []float32, t float32) {
	for w := range set {
		var word uint64
		for i, v := range x[64*w : min(64*w+64, len(x))] {
			if !(v <= t) {
				word |= 1 << i
			}
		}
		set[w] = word
	}
}

// NotAtLeastF32 sets bit i%64 of set[i/64] if x[i] is not t or more, so a NaN in x or t sets it too.
// Bits beyond len(x) become zero.
//
//	for i := range x { if !(x[i] >= t) { set[i/64] |= 1 << (i%64) } }
//
// Shape:  x (n,), set ((n+63)/64,); n >= 0.
// Units:  t has those of x.
// Panics: if len(set) != (len(x)+63)/64.
// Cost:   no allocation; set and x do not overlap.
// Exact:  every level gives the same bits.
// Source: the definition.
func NotAtLeastF32(set []uint64, x []float32, t float32) {
	if len(set) != (len(x)+63)/64 {
		panic("simd: NotAtLeastF32: set is not a bit for each element")
	}
	for len(x) > chunk {
		notAtLeastF32(set[:chunk/64], x[:chunk], t)
		set, x = set[chunk/64:], x[chunk:]
	}
	notAtLeastF32(set, x, t)
}

func notAtLeastF32Generic(set []uint64, x []float32, t float32) {
	for w := range set {
		var word uint64
		for i, v := range x[64*w : min(64*w+64, len(x))] {
			if !(v >= t) {
				word |= 1 << i
			}
		}
		set[w] = word
	}
}

// BelowI32 sets bit i%64 of set[i/64] if x[i] is less than t. Bits beyond len(x) become zero.
//
//	for i := range x { if x[i] < t { set[i/64] |= 1 << (i%64) } }
//
// Shape:  x (n,), set ((n+63)/64,); n >= 0.
// Units:  t has those of x.
// Panics: if len(set) != (len(x)+63)/64.
// Cost:   no allocation.
// Exact:  every level gives the same bits.
// Source: the definition.
func BelowI32(set []uint64, x []int32, t int32) {
	if len(set) != (len(x)+63)/64 {
		panic("simd: BelowI32: set is not a bit for each element")
	}
	for len(x) > chunk {
		belowI32(set[:chunk/64], x[:chunk], t)
		set, x = set[chunk/64:], x[chunk:]
	}
	belowI32(set, x, t)
}

func belowI32Generic(set []uint64, x []int32, t int32) {
	for w := range set {
		var word uint64
		for i, v := range x[64*w : min(64*w+64, len(x))] {
			if v < t {
				word |= 1 << i
			}
		}
		set[w] = word
	}
}

// MaxLanesF32 writes to dst[l] the largest x[i] with i%16 == l, not looking at NaN; -Inf if there is
// none.
//
//	for i := range x { if x[i] > dst[i%16] { dst[i%16] = x[i] } }
//
// Shape:  x (n,); n >= 0.
// Units:  those of x.
// Cost:   no allocation; dst and x do not overlap.
// Exact:  every level gives the same values, but for the signs of zeros.
// Source: the definition.
func MaxLanesF32(dst *[16]float32, x []float32) {
	maxLanesF32(dst, x[:min(chunk, len(x))])
	for len(x) > chunk {
		x = x[chunk:]
		var more [16]float32
		maxLanesF32(&more, x[:min(chunk, len(x))])
		maxLanesMore(dst, more[:])
	}
}

func maxLanesF32Generic(dst *[16]float32, x []float32) {
	for l := range dst {
		dst[l] = float32(math.Inf(-1))
	}
	maxLanesMore(dst, x)
}

func maxLanesMore(dst *[16]float32, x []float32) {
	for i, v := range x {
		if v > dst[i%16] {
			dst[i%16] = v
		}
	}
}

// MinLanesI32 writes to dst[l] the smallest x[i] with i%16 == l; the largest int32 if there is none.
//
//	for i := range x { dst[i%16] = min(dst[i%16], x[i]) }
//
// Shape:  x (n,); n >= 0.
// Units:  those of x.
// Cost:   no allocation; dst and x do not overlap.
// Exact:  every level gives the same values.
// Source: the definition.
func MinLanesI32(dst *[16]int32, x []int32) {
	minLanesI32(dst, x[:min(chunk, len(x))])
	for len(x) > chunk {
		x = x[chunk:]
		var more [16]int32
		minLanesI32(&more, x[:min(chunk, len(x))])
		minLanesMore(dst, more[:])
	}
}

func minLanesI32Generic(dst *[16]int32, x []int32) {
	for l := range dst {
		dst[l] = math.MaxInt32
	}
	minLanesMore(dst, x)
}

func minLanesMore(dst *[16]int32, x []int32) {
	for i, v := range x {
		dst[i%16] = min(dst[i%16], v)
	}
}

// ScaleF32 writes the products of x, its own factors and a common one to dst.
//
//	for i := range dst { dst[i] = x[i] * factors[i] * factor }
//
// Shape:  dst, x, factors (n,); n >= 0.
// Units:  those of x times those of factors and factor.
// Panics: if the lengths differ.
// Cost:   no allocation; dst may be x or factors, but overlap neither in part.
// Exact:  bit-identical on every level: two products, each rounded.
// Source: the definition.
func ScaleF32(dst, x, factors []float32, factor float32) {
	if len(x) != len(dst) || len(factors) != len(dst) {
		panic("simd: ScaleF32: lengths differ")
	}
	for len(dst) > chunk {
		scaleF32(dst[:chunk], x[:chunk], factors[:chunk], factor)
		dst, x, factors = dst[chunk:], x[chunk:], factors[chunk:]
	}
	scaleF32(dst, x, factors, factor)
}

func scaleF32Generic(dst, x, factors []float32, factor float32) {
	x, factors = x[:len(dst)], factors[:len(dst)]
	for i := range dst {
		dst[i] = float32(x[i]*factors[i]) * factor
	}
}

// ScaleI32F32 is ScaleF32 for integers, which are rounded to the nearest float32 first, ties to even.
//
//	for i := range dst { dst[i] = float32(x[i]) * factors[i] * factor }
//
// Shape:  dst, x, factors (n,); n >= 0.
// Units:  those of x times those of factors and factor.
// Panics: if the lengths differ.
// Cost:   no allocation; dst may be factors, but not overlap it in part.
// Exact:  bit-identical on every level: three roundings.
// Source: the definition.
func ScaleI32F32(dst []float32, x []int32, factors []float32, factor float32) {
	if len(x) != len(dst) || len(factors) != len(dst) {
		panic("simd: ScaleI32F32: lengths differ")
	}
	for len(dst) > chunk {
		scaleI32F32(dst[:chunk], x[:chunk], factors[:chunk], factor)
		dst, x, factors = dst[chunk:], x[chunk:], factors[chunk:]
	}
	scaleI32F32(dst, x, factors, factor)
}

func scaleI32F32Generic(dst []float32, x []int32, factors []float32, factor float32) {
	x, factors = x[:len(dst)], factors[:len(dst)]
	for i := range dst {
		dst[i] = float32(float32(x[i])*factors[i]) * factor
	}
}
