//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

// A call of assembly cannot be preempted: the garbage collector waits for it. This much memory takes
// less than 100 us even where it comes in at 10 GB/s, and so do this many rows that are too short for
// their memory to matter.
const (
	callBytes = 1 << 20
	callRows  = 1 << 11
)

// Rows are asked for so many bytes before they are read: the hardware's own prefetching does not follow
// several rows at a time.
const (
	aheadF32 = 8192
	aheadF16 = 8192
)

// rowsPerCall returns how many rows, a multiple of 8, one call of assembly may take; 0 if 8 are too long
// for one.
func rowsPerCall(rowBytes int) int {
	return min(callBytes/rowBytes, callRows) &^ 7
}

// Rows of float32 that are not longer than chunk are never too long: the scans below would not end.
const _ = uint(callBytes/8/4 - chunk)

// groupF32 returns how many rows the float32 reductions of a level take together, 0 for none. They do
// not take rows longer than chunk, which are reduced in pieces.
func groupF32(l cpu.Level) int {
	switch l {
	case cpu.AVX512:
		return 4
	case cpu.AVX2:
		return 1
	}
	return 0
}

func dotRowsF32(dst, q, rows []float32) {
	d, level := len(q), dotRowsF32Code.Level()
	group := groupF32(level)
	for d <= chunk && group > 0 && len(dst) >= group {
		n := min(len(dst)-len(dst)%group, rowsPerCall(4*d))
		if level == cpu.AVX512 {
			dotRowsF32AVX512(&dst[0], &q[0], &rows[0], n, d, aheadF32)
		} else {
			dotRowsF32AVX2(&dst[0], &q[0], &rows[0], n, d, aheadF32)
		}
		dst, rows = dst[n:], rows[n*d:]
	}
	dotRowsF32Singly(dst, q, rows)
}

func l2RowsF32(dst, q, rows []float32) {
	d, level := len(q), l2RowsF32Code.Level()
	group := groupF32(level)
	for d <= chunk && group > 0 && len(dst) >= group {
		n := min(len(dst)-len(dst)%group, rowsPerCall(4*d))
		if level == cpu.AVX512 {
			l2RowsF32AVX512(&dst[0], &q[0], &rows[0], n, d, aheadF32)
		} else {
			l2RowsF32AVX2(&dst[0], &q[0], &rows[0], n, d, aheadF32)
		}
		dst, rows = dst[n:], rows[n*d:]
	}
	l2RowsF32Singly(dst, q, rows)
}

func dotRowsF16(dst, q []float32, rows []Float16) {
	d, level := len(q), dotRowsF16Code.Level()
	group := groupF32(level)
	for d <= chunk && group > 0 && len(dst) >= group {
		n := min(len(dst)-len(dst)%group, rowsPerCall(2*d))
		if level == cpu.AVX512 {
			dotRowsF16AVX512(&dst[0], &q[0], &rows[0], n, d, aheadF16)
		} else {
			dotRowsF16AVX2(&dst[0], &q[0], &rows[0], n, d, aheadF16)
		}
		dst, rows = dst[n:], rows[n*d:]
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
func dotRowsF16AVX512(dst, q *float32, rows *Float16, n, d, ahead int)

//go:noescape
func dotRowsF16AVX2(dst, q *float32, rows *Float16, n, d, ahead int)
