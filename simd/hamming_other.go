//go:build !amd64 || noasm

package simd

func hammingU64(a, b []uint64) int { return hammingU64Generic(a, b) }

func hammingRowsU64(dst []int32, q, rows []uint64) { hammingRowsU64Singly(dst, q, rows) }
