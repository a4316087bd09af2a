//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func dotF32(a, b []float32) float32 {
	if dotF32Code.Level() == cpu.AVX512 && len(a) <= chunk {
		return dotF32AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotF32Rest(a, b)
}

// dotF32Rest is apart so that the common case has a small frame.
func dotF32Rest(a, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return dotF32(a[:cut], b[:cut]) + dotF32(a[cut:], b[cut:])
	}
	if dotF32Code.Level() == cpu.AVX2 {
		return dotF32AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotF32Generic(a, b)
}

func l2F32(a, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return l2F32(a[:cut], b[:cut]) + l2F32(a[cut:], b[cut:])
	}
	switch l2F32Code.Level() {
	case cpu.AVX512:
		return l2F32AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return l2F32AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return l2F32Generic(a, b)
}

//go:noescape
func dotF32AVX512(a, b *float32, n int) float32

//go:noescape
func dotF32AVX2(a, b *float32, n int) float32

//go:noescape
func l2F32AVX512(a, b *float32, n int) float32

//go:noescape
func l2F32AVX2(a, b *float32, n int) float32
