//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

// tilePanelsF32 returns how many panels of columns the largest tile of a level has.
func tilePanelsF32(level cpu.Level) int {
	if level == cpu.AVX512 {
		return 3
	}
	return 1
}

// tileRowsF32 returns how many rows the next tile has when some are left. Never six and then two.
func tileRowsF32(level cpu.Level, left int) int {
	switch {
	case level == cpu.Generic:
		return min(left, genericRowsF32)
	case level == cpu.AVX512 && left >= 8:
		return 8
	case level == cpu.AVX2 && left >= 6 && left != 8:
		return 6
	case left >= 4:
		return 4
	case left >= 2:
		return 2
	}
	return 1
}

func runTileF32(level cpu.Level, t *tileF32, rows, panels int) {
	switch level {
	case cpu.AVX512:
		switch panels {
		case 3:
			runTileF32x48AVX512(t, rows)
		case 2:
			runTileF32x32AVX512(t, rows)
		default:
			runTileF32x16AVX512(t, rows)
		}
	case cpu.AVX2:
		switch rows {
		case 6:
			tileF32x6x16AVX2(t)
		case 4:
			tileF32x4x16AVX2(t)
		case 2:
			tileF32x2x16AVX2(t)
		default:
			tileF32x1x16AVX2(t)
		}
	default:
		tileF32Generic(t, rows)
	}
}

func runTileF32x48AVX512(t *tileF32, rows int) {
	switch rows {
	case 8:
		tileF32x8x48AVX512(t)
	case 4:
		tileF32x4x48AVX512(t)
	case 2:
		tileF32x2x48AVX512(t)
	default:
		tileF32x1x48AVX512(t)
	}
}

func runTileF32x32AVX512(t *tileF32, rows int) {
	switch rows {
	case 8:
		tileF32x8x32AVX512(t)
	case 4:
		tileF32x4x32AVX512(t)
	case 2:
		tileF32x2x32AVX512(t)
	default:
		tileF32x1x32AVX512(t)
	}
}

func runTileF32x16AVX512(t *tileF32, rows int) {
	switch rows {
	case 8:
		tileF32x8x16AVX512(t)
	case 4:
		tileF32x4x16AVX512(t)
	case 2:
		tileF32x2x16AVX512(t)
	default:
		tileF32x1x16AVX512(t)
	}
}

//go:noescape
func tileF32x8x48AVX512(t *tileF32)

//go:noescape
func tileF32x8x32AVX512(t *tileF32)

//go:noescape
func tileF32x8x16AVX512(t *tileF32)

//go:noescape
func tileF32x4x48AVX512(t *tileF32)

//go:noescape
func tileF32x4x32AVX512(t *tileF32)

//go:noescape
func tileF32x4x16AVX512(t *tileF32)

//go:noescape
func tileF32x2x48AVX512(t *tileF32)

//go:noescape
func tileF32x2x32AVX512(t *tileF32)

//go:noescape
func tileF32x2x16AVX512(t *tileF32)

//go:noescape
func tileF32x1x48AVX512(t *tileF32)

//go:noescape
func tileF32x1x32AVX512(t *tileF32)

//go:noescape
func tileF32x1x16AVX512(t *tileF32)

//go:noescape
func tileF32x6x16AVX2(t *tileF32)

//go:noescape
func tileF32x4x16AVX2(t *tileF32)

//go:noescape
func tileF32x2x16AVX2(t *tileF32)

//go:noescape
func tileF32x1x16AVX2(t *tileF32)
