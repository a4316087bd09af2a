package simd

import (
	"math/bits"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	hammingU64Code = cpu.Implement("HammingU64", cpu.Variant{Level: cpu.AVX512, Needs: cpu.VPOPCNTDQ},
		cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	hammingRowsU64Code = cpu.Implement("HammingRowsU64", cpu.Variant{Level: cpu.AVX512, Needs: cpu.VPOPCNTDQ},
		cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
)

// HammingU64 returns the number of bits in which a and b differ.
//
//	for i := range a { sum += bits.OnesCount64(a[i] ^ b[i]) }
//
// Shape:  a, b (n,), n >= 0; 0 for n = 0.
// Units:  bits.
// Panics: if len(a) != len(b).
// Cost:   no allocation; a and b may overlap.
// Exact:  every level gives the exact sum.
// Source: the definition.
func HammingU64(a, b []uint64) int {
	if len(a) != len(b) {
		panic("simd: HammingU64: lengths differ")
	}
	return hammingU64(a, b)
}

func hammingU64Generic(a, b []uint64) int {
	b = b[:len(a)]
	sum := 0
	for i, x := range a {
		sum += bits.OnesCount64(x ^ b[i])
	}
	return sum
}

// HammingRowsU64 writes to dst[i] the number of bits in which q and row i differ.
//
//	for i := range dst { dst[i] = int32(HammingU64(q, rows[i*d:(i+1)*d])) }
//
// Shape:  dst (n,), q (d,), rows (n, d); n, d >= 0, d < 2^25 (no overflow); all 0 for d = 0.
// Units:  bits.
// Panics: if len(rows) != len(dst)*len(q), or d is too large.
// Cost:   no allocation; q and rows may overlap.
// Exact:  every level gives the exact sums.
// Source: the definition.
func HammingRowsU64(dst []int32, q, rows []uint64) {
	if !isMatrix(len(dst), len(q), len(rows)) {
		panic("simd: HammingRowsU64: rows is not len(dst) times len(q)")
	}
	if len(q) >= 1<<25 {
		panic("simd: HammingRowsU64: too long, the sums may overflow")
	}
	if len(q) == 0 {
		clear(dst)
		return
	}
	hammingRowsU64(dst, q, rows)
}

// hammingRowsU64Singly is the plain version, and does what is left over from groups of rows.
func hammingRowsU64Singly(dst []int32, q, rows []uint64) {
	d := len(q)
	for i := range dst {
		dst[i] = int32(hammingU64(q, rows[i*d:][:d]))
	}
}
