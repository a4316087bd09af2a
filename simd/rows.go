package simd

import (
	"math/bits"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	dotRowsF32Code = cpu.Implement("DotRowsF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	l2RowsF32Code  = cpu.Implement("L2RowsF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	dotRowsF16Code = cpu.Implement("DotRowsF16", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	dotRowsI8Code  = cpu.Implement("DotRowsI8", cpu.Variant{Level: cpu.AVX512VNNI}, cpu.Variant{Level: cpu.AVX512},
		cpu.Variant{Level: cpu.AVXVNNI}, cpu.Variant{Level: cpu.AVX2})
)

// One query against the rows of a matrix, row after row in memory without gaps. Each result has the
// bits that the primitive of two vectors gives for the query and that row.

// isMatrix tells whether n rows of d elements are size elements. A product that wraps round is none.
func isMatrix(n, d, size int) bool {
	high, low := bits.Mul64(uint64(n), uint64(d))
	return high == 0 && low == uint64(size)
}

// DotRowsF32 writes to dst[i] the dot product of q and row i.
//
//	for i := range dst { dst[i] = DotF32(q, rows[i*d:(i+1)*d]) }
//
// Shape:  dst (n,), q (d,), rows (n, d); n, d >= 0; all 0 for d = 0.
// Units:  those of q times those of rows.
// Panics: if len(rows) != len(dst)*len(q).
// Cost:   no allocation; q and rows may overlap, dst neither of them.
// Exact:  bit-identical on every level, with the error of DotF32.
// Source: the definition.
func DotRowsF32(dst, q, rows []float32) {
	if !isMatrix(len(dst), len(q), len(rows)) {
		panic("simd: DotRowsF32: rows is not len(dst) times len(q)")
	}
	if len(q) == 0 {
		clear(dst)
		return
	}
	dotRowsF32(dst, q, rows)
}

// dotRowsF32Singly is the plain version, and does what is left over from groups of rows.
func dotRowsF32Singly(dst, q, rows []float32) {
	d := len(q)
	for i := range dst {
		dst[i] = dotF32(q, rows[i*d:][:d])
	}
}

// L2RowsF32 writes to dst[i] the square of the Euclidean distance between q and row i.
//
//	for i := range dst { dst[i] = L2F32(q, rows[i*d:(i+1)*d]) }
//
// Shape:  dst (n,), q (d,), rows (n, d); n, d >= 0; all 0 for d = 0.
// Units:  the square of those of q and rows.
// Panics: if len(rows) != len(dst)*len(q).
// Cost:   no allocation; q and rows may overlap, dst neither of them.
// Exact:  bit-identical on every level, with the error of L2F32.
// Source: the definition.
func L2RowsF32(dst, q, rows []float32) {
	if !isMatrix(len(dst), len(q), len(rows)) {
		panic("simd: L2RowsF32: rows is not len(dst) times len(q)")
	}
	if len(q) == 0 {
		clear(dst)
		return
	}
	l2RowsF32(dst, q, rows)
}

// l2RowsF32Singly is the plain version, and does what is left over from groups of rows.
func l2RowsF32Singly(dst, q, rows []float32) {
	d := len(q)
	for i := range dst {
		dst[i] = L2F32(q, rows[i*d:][:d])
	}
}

// DotRowsF16 writes to dst[i] the dot product of q and row i.
//
//	for i := range dst { dst[i] = DotF16F32(rows[i*d:(i+1)*d], q) }
//
// Shape:  dst (n,), q (d,), rows (n, d); n, d >= 0; all 0 for d = 0.
// Units:  those of q times those of rows.
// Panics: if len(rows) != len(dst)*len(q).
// Cost:   no allocation; q and rows may overlap, dst neither of them.
// Exact:  bit-identical on every level, with the error of DotF32.
// Source: the definition.
func DotRowsF16(dst, q []float32, rows []Float16) {
	if !isMatrix(len(dst), len(q), len(rows)) {
		panic("simd: DotRowsF16: rows is not len(dst) times len(q)")
	}
	if len(q) == 0 {
		clear(dst)
		return
	}
	dotRowsF16(dst, q, rows)
}

// dotRowsF16Singly is the plain version, and does what is left over from groups of rows.
func dotRowsF16Singly(dst, q []float32, rows []Float16) {
	d := len(q)
	for i := range dst {
		dst[i] = dotF16F32(rows[i*d:][:d], q)
	}
}

// DotRowsI8 writes to dst[i] the dot product of q and row i.
//
//	for i := range dst { dst[i] = DotI8(q, rows[i*d:(i+1)*d]) }
//
// Shape:  dst (n,), q (d,), rows (n, d); n, d >= 0, d <= 131071 (no overflow at -128*-128); all 0 for d = 0.
// Units:  quanta; multiply by the scales of q and of the row for reals.
// Panics: if len(rows) != len(dst)*len(q), or d is too large.
// Cost:   no allocation; q and rows may overlap.
// Exact:  every level gives the exact sums.
// Source: the definition.
func DotRowsI8(dst []int32, q, rows []int8) {
	if !isMatrix(len(dst), len(q), len(rows)) {
		panic("simd: DotRowsI8: rows is not len(dst) times len(q)")
	}
	if len(q) > maxDotI8 {
		panic("simd: DotRowsI8: too long, the sums may overflow")
	}
	if len(q) == 0 {
		clear(dst)
		return
	}
	dotRowsI8(dst, q, rows)
}

// dotRowsI8Singly is the plain version, and does what is left over from groups of rows.
func dotRowsI8Singly(dst []int32, q, rows []int8) {
	d := len(q)
	for i := range dst {
		dst[i] = dotI8(q, rows[i*d:][:d])
	}
}
