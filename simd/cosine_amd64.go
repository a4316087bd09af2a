//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func cosineF32(a, b []float32) (ab, aa, bb float32) {
	if len(a) > chunk {
		cut := lastChunk(len(a))
		ab, aa, bb = cosineF32(a[:cut], b[:cut])
		ab2, aa2, bb2 := cosineF32(a[cut:], b[cut:])
		return ab + ab2, aa + aa2, bb + bb2
	}
	p, q, n := unsafe.SliceData(a), unsafe.SliceData(b), len(a)
	switch cosineF32Code.Level() {
	case cpu.AVX512:
		return cosineF32AVX512(p, q, n)
	case cpu.AVX2:
		return dotF32AVX2(p, q, n), dotF32AVX2(p, p, n), dotF32AVX2(q, q, n)
	}
	return cosineF32Generic(a, b)
}

//go:noescape
func cosineF32AVX512(a, b *float32, n int) (ab, aa, bb float32)
