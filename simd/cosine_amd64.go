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

//go:noescape
func cosineF32AVX512(a, b *float32, n int) float64
