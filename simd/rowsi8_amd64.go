//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

// aheadI8 returns how far ahead rows are asked for. What lies in the cache comes soon; further out it
// would only drive out other lines. Matrices that are larger than most caches come from memory.
func aheadI8(bytes int) int {
	if bytes > 16<<20 {
		return 12288
	}
	return 2048
}

func dotRowsI8(dst []int32, q, rows []int8) {
	d := len(q)
	level, step, ahead := dotRowsI8Code.Level(), rowsPerCall(d), aheadI8(len(rows))
	switch {
	case level == cpu.AVXVNNI && d < leastI8AVXVNNI, level == cpu.AVX2 && d < leastI8AVX2:
		level = cpu.Generic
	}
	for level != cpu.Generic && step > 0 && len(dst) >= 4 {
		n := min(len(dst)&^3, step)
		switch level {
		case cpu.AVX512VNNI:
			dotRowsI8AVX512VNNI(&dst[0], &q[0], &rows[0], n, d, ahead)
		case cpu.AVX512:
			dotRowsI8AVX512(&dst[0], &q[0], &rows[0], n, d, ahead)
		case cpu.AVXVNNI:
			dotRowsI8AVXVNNI(&dst[0], &q[0], &rows[0], n, d, ahead)
		case cpu.AVX2:
			dotRowsI8AVX2(&dst[0], &q[0], &rows[0], n, d, ahead)
		}
		dst, rows = dst[n:], rows[n*d:]
	}
	dotRowsI8Singly(dst, q, rows)
}

//go:noescape
func dotRowsI8AVX512VNNI(dst *int32, q, rows *int8, n, d, ahead int)

//go:noescape
func dotRowsI8AVX512(dst *int32, q, rows *int8, n, d, ahead int)

//go:noescape
func dotRowsI8AVXVNNI(dst *int32, q, rows *int8, n, d, ahead int)

//go:noescape
func dotRowsI8AVX2(dst *int32, q, rows *int8, n, d, ahead int)
