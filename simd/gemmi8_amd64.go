//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

// activations returns how the level that runs wants activations.
func activations() layoutU8 {
	switch gemmI8Code.Level() {
	case cpu.AMX:
		return layoutU8{rows: 16, tiles: true}
	case cpu.AVX512VNNI:
		return layoutU8{rows: 4}
	case cpu.AVX512:
		return layoutU8{rows: 4, words: true}
	case cpu.AVXVNNI:
		return layoutU8{rows: 2}
	case cpu.AVX2:
		return layoutU8{rows: 2, words: true}
	}
	return layoutU8{rows: genericRows}
}

// tilePanels returns how many panels of columns the largest tile of a level has.
func tilePanels(level cpu.Level) int {
	switch level {
	case cpu.AVX512VNNI, cpu.AVX512, cpu.AVXVNNI:
		return 3
	}
	return 1
}

// tileRows returns how many rows the next tile has when some are left. At AVX2 never six and then two.
func tileRows(level cpu.Level, left int) int {
	switch level {
	case cpu.AVX512VNNI, cpu.AVX512:
		if left > 4 {
			return 8
		}
		return 4
	case cpu.AVXVNNI:
		if left > 4 {
			return 6
		}
		return 2
	case cpu.AVX2:
		switch {
		case left <= 2:
			return 2
		case left <= 4 || left == 7 || left == 8:
			return 4
		}
		return 6
	}
	return genericRows
}

// panel returns the tile of t's columns in its n-th panel.
func (t *tileI8) panel(n int) tileI8 {
	p := *t
	p.w = (*int8)(unsafe.Add(unsafe.Pointer(t.w), n*t.wStep))
	p.start = (*int32)(unsafe.Add(unsafe.Pointer(t.start), n*4*panelColumns))
	p.sums = (*int32)(unsafe.Add(unsafe.Pointer(t.sums), n*4*panelColumns))
	return p
}

func runTileI8(level cpu.Level, t *tileI8, rows, panels int) {
	switch level {
	case cpu.AVX512VNNI:
		switch {
		case rows == 8 && panels == 3:
			tileI8x8x48AVX512VNNI(t)
		case rows == 8 && panels == 2:
			tileI8x8x32AVX512VNNI(t)
		case rows == 8:
			tileI8x8x16AVX512VNNI(t)
		case panels == 3:
			tileI8x4x48AVX512VNNI(t)
		case panels == 2:
			tileI8x4x32AVX512VNNI(t)
		default:
			tileI8x4x16AVX512VNNI(t)
		}
	case cpu.AVX512:
		switch {
		case rows == 8 && panels == 3:
			tileI8x8x48AVX512(t)
		case rows == 8 && panels == 2:
			tileI8x8x32AVX512(t)
		case rows == 8:
			tileI8x8x16AVX512(t)
		case panels == 3:
			tileI8x4x48AVX512(t)
		case panels == 2:
			tileI8x4x32AVX512(t)
		default:
			tileI8x4x16AVX512(t)
		}
	case cpu.AVXVNNI:
		if rows == 2 && panels == 3 {
			tileI8x2x48AVXVNNI(t)
			return
		}
		for n := range panels {
			p := t.panel(n)
			if rows == 6 {
				tileI8x6x16AVXVNNI(&p)
			} else {
				tileI8x2x16AVXVNNI(&p)
			}
		}
	case cpu.AVX2:
		switch rows {
		case 6:
			tileI8x6x16AVX2(t)
		case 4:
			tileI8x4x16AVX2(t)
		default:
			tileI8x2x16AVX2(t)
		}
	default:
		tileI8Generic(t, rows, panels)
	}
}

//go:noescape
func tileI8x8x48AVX512VNNI(t *tileI8)

//go:noescape
func tileI8x8x32AVX512VNNI(t *tileI8)

//go:noescape
func tileI8x8x16AVX512VNNI(t *tileI8)

//go:noescape
func tileI8x4x48AVX512VNNI(t *tileI8)

//go:noescape
func tileI8x4x32AVX512VNNI(t *tileI8)

//go:noescape
func tileI8x4x16AVX512VNNI(t *tileI8)

//go:noescape
func tileI8x8x48AVX512(t *tileI8)

//go:noescape
func tileI8x8x32AVX512(t *tileI8)

//go:noescape
func tileI8x8x16AVX512(t *tileI8)

//go:noescape
func tileI8x4x48AVX512(t *tileI8)

//go:noescape
func tileI8x4x32AVX512(t *tileI8)

//go:noescape
func tileI8x4x16AVX512(t *tileI8)

//go:noescape
func tileI8x6x16AVXVNNI(t *tileI8)

//go:noescape
func tileI8x2x48AVXVNNI(t *tileI8)

//go:noescape
func tileI8x2x16AVXVNNI(t *tileI8)

//go:noescape
func tileI8x6x16AVX2(t *tileI8)

//go:noescape
func tileI8x4x16AVX2(t *tileI8)

//go:noescape
func tileI8x2x16AVX2(t *tileI8)
