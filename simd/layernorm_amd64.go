//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func sumF32(a []float32) float32 {
	switch layerNormF32Code.Level() {
	case cpu.AVX512:
		return sumF32AVX512(unsafe.SliceData(a), len(a))
	case cpu.AVX2:
		return sumF32AVX2(unsafe.SliceData(a), len(a))
	}
	return sumF32Generic(a)
}

func squaresF32(a []float32, mean float32) float32 {
	switch layerNormF32Code.Level() {
	case cpu.AVX512:
		return squaresF32AVX512(unsafe.SliceData(a), len(a), mean)
	case cpu.AVX2:
		return squaresF32AVX2(unsafe.SliceData(a), len(a), mean)
	}
	return squaresF32Generic(a, mean)
}

func normaliseF32(dst, src, gain, bias []float32, mean, inverse float32) {
	switch layerNormF32Code.Level() {
	case cpu.AVX512:
		normaliseF32AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), unsafe.SliceData(gain), unsafe.SliceData(bias), len(src), mean, inverse)
		return
	case cpu.AVX2:
		normaliseF32AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), unsafe.SliceData(gain), unsafe.SliceData(bias), len(src), mean, inverse)
		return
	}
	normaliseF32Generic(dst, src, gain, bias, mean, inverse)
}

//go:noescape
func sumF32AVX512(a *float32, n int) float32

//go:noescape
func sumF32AVX2(a *float32, n int) float32

//go:noescape
func squaresF32AVX512(a *float32, n int, mean float32) float32

//go:noescape
func squaresF32AVX2(a *float32, n int, mean float32) float32

//go:noescape
func normaliseF32AVX512(dst, src, gain, bias *float32, n int, mean, inverse float32)

//go:noescape
func normaliseF32AVX2(dst, src, gain, bias *float32, n int, mean, inverse float32)
