//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func dotF16(a, b []Float16) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotF16(a[:cut], b[:cut]) + dotF16(a[cut:], b[cut:])
	}
	switch dotF16Code.Level() {
	case cpu.AVX512:
		return dotF16AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return dotF16AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotF16Generic(a, b)
}

func dotBF16(a, b []BFloat16) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotBF16(a[:cut], b[:cut]) + dotBF16(a[cut:], b[cut:])
	}
	switch dotBF16Code.Level() {
	case cpu.AVX512:
		return dotBF16AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return dotBF16AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotBF16Generic(a, b)
}

func dotF16F32(a []Float16, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotF16F32(a[:cut], b[:cut]) + dotF16F32(a[cut:], b[cut:])
	}
	switch dotF16F32Code.Level() {
	case cpu.AVX512:
		return dotF16F32AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return dotF16F32AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotF16F32Generic(a, b)
}

// The assembly for AVX2 leaves what does not fill a register.

func convertF16F32(dst []float32, src []Float16) {
	switch convertF16F32Code.Level() {
	case cpu.AVX512:
		convertF16F32AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		return
	case cpu.AVX2:
		convertF16F32AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		done := len(src) &^ 7
		dst, src = dst[done:], src[done:]
	}
	convertF16F32Generic(dst, src)
}

func convertF32F16(dst []Float16, src []float32) {
	switch convertF32F16Code.Level() {
	case cpu.AVX512:
		convertF32F16AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		return
	case cpu.AVX2:
		convertF32F16AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		done := len(src) &^ 7
		dst, src = dst[done:], src[done:]
	}
	convertF32F16Generic(dst, src)
}

func convertBF16F32(dst []float32, src []BFloat16) {
	switch convertBF16F32Code.Level() {
	case cpu.AVX512:
		convertBF16F32AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		return
	case cpu.AVX2:
		convertBF16F32AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		done := len(src) &^ 7
		dst, src = dst[done:], src[done:]
	}
	convertBF16F32Generic(dst, src)
}

func convertF32BF16(dst []BFloat16, src []float32) {
	switch convertF32BF16Code.Level() {
	case cpu.AVX512:
		convertF32BF16AVX512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		return
	case cpu.AVX2:
		convertF32BF16AVX2(unsafe.SliceData(dst), unsafe.SliceData(src), len(src))
		done := len(src) &^ 7
		dst, src = dst[done:], src[done:]
	}
	convertF32BF16Generic(dst, src)
}

//go:noescape
func dotF16AVX512(a, b *Float16, n int) float32

//go:noescape
func dotF16AVX2(a, b *Float16, n int) float32

//go:noescape
func dotBF16AVX512(a, b *BFloat16, n int) float32

//go:noescape
func dotBF16AVX2(a, b *BFloat16, n int) float32

//go:noescape
func dotF16F32AVX512(a *Float16, b *float32, n int) float32

//go:noescape
func dotF16F32AVX2(a *Float16, b *float32, n int) float32

//go:noescape
func convertF16F32AVX512(dst *float32, src *Float16, n int)

//go:noescape
func convertF16F32AVX2(dst *float32, src *Float16, n int)

//go:noescape
func convertF32F16AVX512(dst *Float16, src *float32, n int)

//go:noescape
func convertF32F16AVX2(dst *Float16, src *float32, n int)

//go:noescape
func convertBF16F32AVX512(dst *float32, src *BFloat16, n int)

//go:noescape
func convertBF16F32AVX2(dst *float32, src *BFloat16, n int)

//go:noescape
func convertF32BF16AVX512(dst *BFloat16, src *float32, n int)

//go:noescape
func convertF32BF16AVX2(dst *BFloat16, src *float32, n int)
