//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func geluF32(dst, src []float32) {
	switch geluF32Code.Level() {
	case cpu.AVX512:
		geluF32AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		return
	case cpu.AVX2:
		geluF32AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		return
	}
	geluF32Generic(dst, src)
}

func geluI16(dst, src []int16) {
	p, q, n := unsafe.SliceData(dst), unsafe.SliceData(src), len(src)
	switch geluI16Code.Level() {
	case cpu.AVX512:
		if geluI16Code.Variant().Needs == cpu.VBMI {
			geluI16VBMI(p, q, n, &geluTable)
		} else {
			geluI16AVX512(p, q, n, &geluTable)
		}
		return
	case cpu.AVX2:
		geluI16AVX2(p, q, n, &geluTable)
		done := n &^ 31
		dst, src = dst[done:], src[done:]
	}
	geluI16Generic(dst, src)
}

//go:noescape
func geluF32AVX512(dst, src *float32, n int)

//go:noescape
func geluF32AVX2(dst, src *float32, n int)

//go:noescape
func geluI16VBMI(dst, src *int16, n int, table *[128]uint8)

//go:noescape
func geluI16AVX512(dst, src *int16, n int, table *[128]uint8)

//go:noescape
func geluI16AVX2(dst, src *int16, n int, table *[128]uint8)
