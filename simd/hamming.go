package simd

import "math/bits"

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
	return hammingU64Generic(a, b)
}

func hammingU64Generic(a, b []uint64) int {
	b = b[:len(a)]
	sum := 0
	for i, x := range a {
		sum += bits.OnesCount64(x ^ b[i])
	}
	return sum
}
