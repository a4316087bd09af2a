//go:build amd64 && !noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

func runEpilogue(kind outputKind, t *epilogueTile, columns int) {
	switch level := epilogueCode.Level(); {
	case level == cpu.AVX512:
		runEpilogueAVX512(kind, t, (columns+panelColumns-1)/panelColumns)
	case level == cpu.AVX2 && columns == panelColumns:
		runEpilogueAVX2(kind, t)
	default: // at AVX2 also the rest of the columns
		epilogueGeneric(kind, t, columns)
	}
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
