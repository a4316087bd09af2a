//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func notAtMostF32(set []uint64, x []float32, t float32) {
	switch notAtMostF32Code.Level() {
	case cpu.AVX512:
		notAtMostF32AVX512(unsafe.SliceData(set), unsafe.SliceData(x), len(x), t)
	case cpu.AVX2:
		whole := len(x) &^ 63
		notAtMostF32AVX2(unsafe.SliceData(set), unsafe.SliceData(x), whole, t)
		notAtMostF32Generic(set[whole/64:], x[whole:], t)
	default:
		notAtMostF32Generic(set, x, t)
	}
}

func notAtLeastF32(set []uint64, x []float32, t float32) {
	switch notAtLeastF32Code.Level() {
	case cpu.AVX512:
		notAtLeastF32AVX512(unsafe.SliceData(set), unsafe.SliceData(x), len(x), t)
	case cpu.AVX2:
		whole := len(x) &^ 63
		notAtLeastF32AVX2(unsafe.SliceData(set), unsafe.SliceData(x), whole, t)
		notAtLeastF32Generic(set[whole/64:], x[whole:], t)
	default:
		notAtLeastF32Generic(set, x, t)
	}
}

func belowI32(set []uint64, x []int32, t int32) {
	switch belowI32Code.Level() {
	case cpu.AVX512:
		belowI32AVX512(unsafe.SliceData(set), unsafe.SliceData(x), len(x), t)
	case cpu.AVX2:
		whole := len(x) &^ 63
		belowI32AVX2(unsafe.SliceData(set), unsafe.SliceData(x), whole, t)
		belowI32Generic(set[whole/64:], x[whole:], t)
	default:
		belowI32Generic(set, x, t)
	}
}

func scaleF32(dst, x, factors []float32, factor float32) {
	switch scaleF32Code.Level() {
	case cpu.AVX512:
		scaleF32AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(factors), len(dst), factor)
	case cpu.AVX2:
		whole := len(dst) &^ 7
		scaleF32AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(factors), whole, factor)
		scaleF32Generic(dst[whole:], x[whole:], factors[whole:], factor)
	default:
		scaleF32Generic(dst, x, factors, factor)
	}
}

func scaleI32F32(dst []float32, x []int32, factors []float32, factor float32) {
	switch scaleI32F32Code.Level() {
	case cpu.AVX512:
		scaleI32F32AVX512(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(factors), len(dst), factor)
	case cpu.AVX2:
		whole := len(dst) &^ 7
		scaleI32F32AVX2(unsafe.SliceData(dst), unsafe.SliceData(x), unsafe.SliceData(factors), whole, factor)
		scaleI32F32Generic(dst[whole:], x[whole:], factors[whole:], factor)
	default:
		scaleI32F32Generic(dst, x, factors, factor)
	}
}

func maxLanesF32(dst *[16]float32, x []float32) {
	whole := len(x) &^ 63
	switch maxLanesF32Code.Level() {
	case cpu.AVX512:
		maxLanesF32AVX512(dst, unsafe.SliceData(x), whole)
	case cpu.AVX2:
		maxLanesF32AVX2(dst, unsafe.SliceData(x), whole)
	default:
		maxLanesF32Generic(dst, x)
		return
	}
	maxLanesMore(dst, x[whole:])
}

func minLanesI32(dst *[16]int32, x []int32) {
	whole := len(x) &^ 63
	switch minLanesI32Code.Level() {
	case cpu.AVX512:
		minLanesI32AVX512(dst, unsafe.SliceData(x), whole)
	case cpu.AVX2:
		minLanesI32AVX2(dst, unsafe.SliceData(x), whole)
	default:
		minLanesI32Generic(dst, x)
		return
	}
	minLanesMore(dst, x[whole:])
}

//go:noescape
func notAtMostF32AVX512(set *uint64, x *float32, n int, t float32)

//go:noescape
func notAtMostF32AVX2(set *uint64, x *float32, n int, t float32)

//go:noescape
func notAtLeastF32AVX512(set *uint64, x *float32, n int, t float32)

//go:noescape
func notAtLeastF32AVX2(set *uint64, x *float32, n int, t float32)

//go:noescape
func belowI32AVX512(set *uint64, x *int32, n int, t int32)

//go:noescape
func belowI32AVX2(set *uint64, x *int32, n int, t int32)

//go:noescape
func scaleF32AVX512(dst, x, factors *float32, n int, factor float32)

//go:noescape
func scaleF32AVX2(dst, x, factors *float32, n int, factor float32)

//go:noescape
func scaleI32F32AVX512(dst *float32, x *int32, factors *float32, n int, factor float32)

//go:noescape
func scaleI32F32AVX2(dst *float32, x *int32, factors *float32, n int, factor float32)

//go:noescape
func maxLanesF32AVX512(dst *[16]float32, x *float32, n int)

//go:noescape
func maxLanesF32AVX2(dst *[16]float32, x *float32, n int)

//go:noescape
func minLanesI32AVX512(dst *[16]int32, x *int32, n int)

//go:noescape
func minLanesI32AVX2(dst *[16]int32, x *int32, n int)
