//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func dotF32(a, b []float32) float32 {
	switch dotF32Code.Level() {
	case cpu.AVX512:
		return dotF32AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotF32Generic(a, b)
}

//go:noescape
func dotF32AVX512(a, b *float32, n int) float32
