//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func axpyF32(alpha float32, x, y []float32) {
	switch axpyF32Code.Level() {
	case cpu.AVX512:
		axpyF32AVX512(alpha, unsafe.SliceData(x), unsafe.SliceData(y), len(x))
		return
	case cpu.AVX2:
		axpyF32AVX2(alpha, unsafe.SliceData(x), unsafe.SliceData(y), len(x))
		return
	}
	axpyF32Generic(alpha, x, y)
}

//go:noescape
func axpyF32AVX512(alpha float32, x, y *float32, n int)

//go:noescape
func axpyF32AVX2(alpha float32, x, y *float32, n int)
