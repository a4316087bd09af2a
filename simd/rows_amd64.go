//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

// A call of assembly cannot be preempted: the garbage collector waits for it. This much memory takes
// less than 100 us even where it comes in at 10 GB/s, and so do this many short rows.
const (
	callBytes = 1 << 20
	callRows  = 1 << 13
)

// Rows are asked for so many bytes before they are read: the hardware's own prefetching does not follow
// several rows at a time.
const (
	aheadF32 = 8192
	aheadF16 = 8192
)

// rowsPerCall returns how many rows, a multiple of 8, one call of assembly may take; 0 if a few are
// too long for one.
func rowsPerCall(rowBytes int) int {
	return min(callBytes/rowBytes, callRows) &^ 7
}

func dotRowsF32(dst, q, rows []float32) {
	d := len(q)
	if step := rowsPerCall(4 * d); step > 0 {
		switch dotRowsF32Code.Level() {
		case cpu.AVX512:
			for len(dst) >= 4 {
				n := min(len(dst)&^3, step)
				dotRowsF32AVX512(&dst[0], &q[0], &rows[0], n, d, aheadF32)
				dst, rows = dst[n:], rows[n*d:]
			}
		case cpu.AVX2:
			for len(dst) > 0 {
				n := min(len(dst), step)
				dotRowsF32AVX2(&dst[0], &q[0], &rows[0], n, d, aheadF32)
				dst, rows = dst[n:], rows[n*d:]
			}
		}
	}
	dotRowsF32Singly(dst, q, rows)
}

func l2RowsF32(dst, q, rows []float32) {
	d := len(q)
	if step := rowsPerCall(4 * d); step > 0 {
		switch l2RowsF32Code.Level() {
		case cpu.AVX512:
			for len(dst) >= 4 {
				n := min(len(dst)&^3, step)
				l2RowsF32AVX512(&dst[0], &q[0], &rows[0], n, d, aheadF32)
				dst, rows = dst[n:], rows[n*d:]
			}
		case cpu.AVX2:
			for len(dst) > 0 {
				n := min(len(dst), step)
				l2RowsF32AVX2(&dst[0], &q[0], &rows[0], n, d, aheadF32)
				dst, rows = dst[n:], rows[n*d:]
			}
		}
	}
	l2RowsF32Singly(dst, q, rows)
}

func dotRowsF16(dst, q []float32, rows []uint16) {
	d, level := len(q), dotRowsF16Code.Level()
	if step := rowsPerCall(2 * d); step > 0 && level != cpu.Generic {
		for len(dst) >= 4 && level == cpu.AVX512 {
			n := min(len(dst)&^3, step)
			dotRowsF16AVX512(&dst[0], &q[0], &rows[0], n, d, aheadF16)
			dst, rows = dst[n:], rows[n*d:]
		}
		for len(dst) > 0 {
			n := min(len(dst), step)
			dotRowsF16AVX2(&dst[0], &q[0], &rows[0], n, d, aheadF16)
			dst, rows = dst[n:], rows[n*d:]
		}
	}
	dotRowsF16Singly(dst, q, rows)
}

//go:noescape
func dotRowsF32AVX512(dst, q, rows *float32, n, d, ahead int)

//go:noescape
func dotRowsF32AVX2(dst, q, rows *float32, n, d, ahead int)

//go:noescape
func l2RowsF32AVX512(dst, q, rows *float32, n, d, ahead int)

//go:noescape
func l2RowsF32AVX2(dst, q, rows *float32, n, d, ahead int)

//go:noescape
func dotRowsF16AVX512(dst, q *float32, rows *uint16, n, d, ahead int)

//go:noescape
func dotRowsF16AVX2(dst, q *float32, rows *uint16, n, d, ahead int)
