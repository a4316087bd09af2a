//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

func runEpilogue(kind outputKind, t *epilogueTile, columns int) {
	switch epilogueCode.Level() {
	case cpu.AVX512:
		runEpilogueAVX512(kind, t, (columns+panelColumns-1)/panelColumns)
	case cpu.AVX2:
		for j := 0; j < columns; j += panelColumns {
			p := t.panel(kind, j/panelColumns)
			if columns-j >= panelColumns {
				runEpilogueAVX2(kind, &p)
			} else {
				epilogueGeneric(kind, &p, columns-j)
			}
		}
	default:
		epilogueGeneric(kind, t, columns)
	}
}

// panel returns the tile of t's columns in its n-th panel.
func (t *epilogueTile) panel(kind outputKind, n int) epilogueTile {
	p := *t
	p.scale = (*float32)(unsafe.Add(unsafe.Pointer(t.scale), n*4*panelColumns))
	p.offset = (*float32)(unsafe.Add(unsafe.Pointer(t.offset), n*4*panelColumns))
	p.bias = (*float32)(unsafe.Add(unsafe.Pointer(t.bias), n*4*panelColumns))
	p.sums = (*int32)(unsafe.Add(unsafe.Pointer(t.sums), n*4*panelColumns))
	p.dst = unsafe.Add(t.dst, n*outputBytes[kind]*panelColumns)
	return p
}

func runEpilogueAVX512(kind outputKind, t *epilogueTile, panels int) {
	switch kind {
	case toF32:
		switch panels {
		case 3:
			epilogueF32x48AVX512(t)
		case 2:
			epilogueF32x32AVX512(t)
		default:
			epilogueF32x16AVX512(t)
		}
	case toBF16:
		switch panels {
		case 3:
			epilogueBF16x48AVX512(t)
		case 2:
			epilogueBF16x32AVX512(t)
		default:
			epilogueBF16x16AVX512(t)
		}
	case toByte:
		switch panels {
		case 3:
			epilogueBytex48AVX512(t)
		case 2:
			epilogueBytex32AVX512(t)
		default:
			epilogueBytex16AVX512(t)
		}
	}
}

func runEpilogueAVX2(kind outputKind, t *epilogueTile) {
	switch kind {
	case toF32:
		epilogueF32x16AVX2(t)
	case toBF16:
		epilogueBF16x16AVX2(t)
	case toByte:
		epilogueBytex16AVX2(t)
	}
}

//go:noescape
func epilogueF32x48AVX512(t *epilogueTile)

//go:noescape
func epilogueF32x32AVX512(t *epilogueTile)

//go:noescape
func epilogueF32x16AVX512(t *epilogueTile)

//go:noescape
func epilogueF32x16AVX2(t *epilogueTile)

//go:noescape
func epilogueBF16x48AVX512(t *epilogueTile)

//go:noescape
func epilogueBF16x32AVX512(t *epilogueTile)

//go:noescape
func epilogueBF16x16AVX512(t *epilogueTile)

//go:noescape
func epilogueBF16x16AVX2(t *epilogueTile)

//go:noescape
func epilogueBytex48AVX512(t *epilogueTile)

//go:noescape
func epilogueBytex32AVX512(t *epilogueTile)

//go:noescape
func epilogueBytex16AVX512(t *epilogueTile)

//go:noescape
func epilogueBytex16AVX2(t *epilogueTile)
