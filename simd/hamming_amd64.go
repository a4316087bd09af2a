//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

const aheadU64 = 4096

func hammingU64(a, b []uint64) (sum int) {
	v := hammingU64Code.Variant()
	for len(a) > 0 {
		n := min(len(a), callBytes/16)
		pa, pb := unsafe.SliceData(a), unsafe.SliceData(b)
		switch {
		case v.Needs == cpu.VPOPCNTDQ:
			sum += hammingU64AVX512VPOPCNTDQ(pa, pb, n)
		case v.Level == cpu.AVX512:
			sum += hammingU64AVX512(pa, pb, n)
		case v.Level == cpu.AVX2:
			sum += hammingU64AVX2(pa, pb, n)
		default:
			return hammingU64Generic(a, b)
		}
		a, b = a[n:], b[n:]
	}
	return sum
}

func hammingRowsU64(dst []int32, q, rows []uint64) {
	d := len(q)
	v, step, group := hammingRowsU64Code.Variant(), rowsPerCall(8*d), 8
	if v.Level == cpu.AVX2 {
		group = 4
	}
	for v.Level != cpu.Generic && step > 0 && len(dst) >= group {
		n := min(len(dst)&^(group-1), step)
		switch {
		case v.Needs == cpu.VPOPCNTDQ:
			hammingRowsU64AVX512VPOPCNTDQ(&dst[0], &q[0], &rows[0], n, d, aheadU64)
		case v.Level == cpu.AVX512:
			hammingRowsU64AVX512(&dst[0], &q[0], &rows[0], n, d, aheadU64)
		default:
			hammingRowsU64AVX2(&dst[0], &q[0], &rows[0], n, d, aheadU64)
		}
		dst, rows = dst[n:], rows[n*d:]
	}
	hammingRowsU64Singly(dst, q, rows)
}

//go:noescape
func hammingU64AVX512VPOPCNTDQ(a, b *uint64, n int) int

//go:noescape
func hammingU64AVX512(a, b *uint64, n int) int

//go:noescape
func hammingU64AVX2(a, b *uint64, n int) int

//go:noescape
func hammingRowsU64AVX512VPOPCNTDQ(dst *int32, q, rows *uint64, n, d, ahead int)

//go:noescape
func hammingRowsU64AVX512(dst *int32, q, rows *uint64, n, d, ahead int)

//go:noescape
func hammingRowsU64AVX2(dst *int32, q, rows *uint64, n, d, ahead int)
