//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func maxF32(a []float32, least float32) float32 {
	switch softmaxF32Code.Level() {
	case cpu.AVX512:
		return maxF32AVX512(unsafe.SliceData(a), len(a), least)
	case cpu.AVX2:
		return maxF32AVX2(unsafe.SliceData(a), len(a), least)
	}
	return maxF32Generic(a, least)
}

func expSumF32(dst, src []float32, greatest float32) float32 {
	switch softmaxF32Code.Level() {
	case cpu.AVX512:
		return expSumF32AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src), greatest)
	case cpu.AVX2:
		return expSumF32AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src), greatest)
	}
	return expSumF32Generic(dst, src, greatest)
}

func shareF32(x []float32, factor float32) {
	switch softmaxF32Code.Level() {
	case cpu.AVX512:
		shareF32AVX512(unsafe.SliceData(x), len(x), factor)
		return
	case cpu.AVX2:
		shareF32AVX2(unsafe.SliceData(x), len(x), factor)
		return
	}
	shareF32Generic(x, factor)
}

//go:noescape
func maxF32AVX512(a *float32, n int, least float32) float32

//go:noescape
func maxF32AVX2(a *float32, n int, least float32) float32

//go:noescape
func expSumF32AVX512(dst, a *float32, n int, greatest float32) float32

//go:noescape
func expSumF32AVX2(dst, a *float32, n int, greatest float32) float32

//go:noescape
func shareF32AVX512(x *float32, n int, factor float32)

//go:noescape
func shareF32AVX2(x *float32, n int, factor float32)
