//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

// Below these lengths there is no whole vector to read, and no mask to read less: plain Go runs.
const (
	leastI8AVX2    = 16 // widened to int16
	leastI8AVXVNNI = 32
	leastL2I8AVX2  = 32
)

func dotI8(a, b []int8) int32 {
	pa, pb, n := unsafe.SliceData(a), unsafe.SliceData(b), len(a)
	switch l := dotI8Code.Level(); {
	case l == cpu.AVX512VNNI:
		return dotI8AVX512VNNI(pa, pb, n)
	case l == cpu.AVX512:
		return dotI8AVX512(pa, pb, n)
	case l == cpu.AVXVNNI && n >= leastI8AVXVNNI:
		return dotI8AVXVNNI(pa, pb, n)
	case l == cpu.AVX2 && n >= leastI8AVX2:
		return dotI8AVX2(pa, pb, n)
	}
	return dotI8Generic(a, b)
}

func l2I8(a, b []int8) int32 {
	pa, pb, n := unsafe.SliceData(a), unsafe.SliceData(b), len(a)
	switch l := l2I8Code.Level(); {
	case l == cpu.AVX512:
		return l2I8AVX512(pa, pb, n)
	case l == cpu.AVX2 && n >= leastL2I8AVX2:
		return l2I8AVX2(pa, pb, n)
	}
	return l2I8Generic(a, b)
}

func cosineI8(a, b []int8) (ab, aa, bb int32) {
	pa, pb, n := unsafe.SliceData(a), unsafe.SliceData(b), len(a)
	switch l := cosineI8Code.Level(); {
	case l == cpu.AVX512VNNI:
		return cosineI8AVX512VNNI(pa, pb, n)
	case l == cpu.AVX512:
		return cosineI8AVX512(pa, pb, n)
	case l == cpu.AVX2 && n >= leastI8AVX2:
		return cosineI8AVX2(pa, pb, n)
	}
	return cosineI8Generic(a, b)
}

//go:noescape
func dotI8AVX512VNNI(a, b *int8, n int) int32

//go:noescape
func dotI8AVX512(a, b *int8, n int) int32

//go:noescape
func dotI8AVXVNNI(a, b *int8, n int) int32

//go:noescape
func dotI8AVX2(a, b *int8, n int) int32

//go:noescape
func l2I8AVX512(a, b *int8, n int) int32

//go:noescape
func l2I8AVX2(a, b *int8, n int) int32

//go:noescape
func cosineI8AVX512VNNI(a, b *int8, n int) (ab, aa, bb int32)

//go:noescape
func cosineI8AVX512(a, b *int8, n int) (ab, aa, bb int32)

//go:noescape
func cosineI8AVX2(a, b *int8, n int) (ab, aa, bb int32)
