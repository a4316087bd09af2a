//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func cosineF32(a, b []float32) float64 {
	if cosineF32Code.Level() == cpu.AVX512 && len(a) <= chunk {
		return cosineF32AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return cosineOfThreeDots(a, b)
}

func fusedDotF32(a, b []float32) float32 {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		return fusedDotF32(a[:cut], b[:cut]) + fusedDotF32(a[cut:], b[cut:])
	}
	switch cosineF32Code.Level() {
	case cpu.AVX512:
		return fusedDotF32AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return fusedDotF32AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return fusedDotF32Generic(a, b)
}

//go:noescape
func fusedDotF32AVX512(a, b *float32, n int) float32

//go:noescape
func fusedDotF32AVX2(a, b *float32, n int) float32

//go:noescape
func cosineF32AVX512(a, b *float32, n int) float64
