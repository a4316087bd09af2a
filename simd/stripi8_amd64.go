//go:build amd64 && !noasm

package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

// hasStrip reports whether a level has a strip of tiles of that shape.
func hasStrip(level cpu.Level, rows, columns int) bool {
	switch level {
	case cpu.AVX512VNNI, cpu.AVX512:
		return rows == 8 && columns == 48
	case cpu.AVXVNNI:
		return rows == 6 && columns%16 == 0 || columns == 48
	case cpu.AVX2:
		return rows >= 4 && columns == 16
	}
	return false
}

func runStripI8(level cpu.Level, kind outputKind, s *stripI8, rows, columns int) {
	switch level {
	case cpu.AVX512VNNI:
		runStripAVX512VNNI(kind, s)
	case cpu.AVX512:
		runStripAVX512(kind, s)
	case cpu.AVXVNNI:
		if rows == 2 {
			runStripRowsAVXVNNI(kind, s)
			return
		}
		for n := range columns / panelColumns {
			p := s.panel(kind, n)
			runStripAVXVNNI(kind, &p)
		}
	case cpu.AVX2:
		runStripAVX2(kind, s, rows)
	}
}

func runStripAVX512VNNI(kind outputKind, s *stripI8) {
	switch kind {
	case toF32:
		stripF32x8x48AVX512VNNI(s)
	case toBF16:
		stripBF16x8x48AVX512VNNI(s)
	case toByte:
		stripBytex8x48AVX512VNNI(s)
	}
}

func runStripAVX512(kind outputKind, s *stripI8) {
	switch kind {
	case toF32:
		stripF32x8x48AVX512(s)
	case toBF16:
		stripBF16x8x48AVX512(s)
	case toByte:
		stripBytex8x48AVX512(s)
	}
}

// panel returns the strip of s's columns in its n-th panel.
func (s *stripI8) panel(kind outputKind, n int) stripI8 {
	p := *s
	p.w = (*int8)(unsafe.Add(unsafe.Pointer(s.w), n*s.wStep))
	p.start = (*int32)(unsafe.Add(unsafe.Pointer(s.start), n*4*panelColumns))
	p.scale = (*float32)(unsafe.Add(unsafe.Pointer(s.scale), n*4*panelColumns))
	p.offset = (*float32)(unsafe.Add(unsafe.Pointer(s.offset), n*4*panelColumns))
	p.bias = (*float32)(unsafe.Add(unsafe.Pointer(s.bias), n*4*panelColumns))
	p.dst = unsafe.Add(s.dst, n*outputBytes[kind]*panelColumns)
	return p
}

func runStripAVXVNNI(kind outputKind, s *stripI8) {
	switch kind {
	case toF32:
		stripF32x6x16AVXVNNI(s)
	case toBF16:
		stripBF16x6x16AVXVNNI(s)
	case toByte:
		stripBytex6x16AVXVNNI(s)
	}
}

func runStripRowsAVXVNNI(kind outputKind, s *stripI8) {
	switch kind {
	case toF32:
		stripF32x2x48AVXVNNI(s)
	case toBF16:
		stripBF16x2x48AVXVNNI(s)
	case toByte:
		stripBytex2x48AVXVNNI(s)
	}
}

func runStripAVX2(kind outputKind, s *stripI8, rows int) {
	switch {
	case kind == toF32 && rows == 6:
		stripF32x6x16AVX2(s)
	case kind == toF32:
		stripF32x4x16AVX2(s)
	case kind == toBF16 && rows == 6:
		stripBF16x6x16AVX2(s)
	case kind == toBF16:
		stripBF16x4x16AVX2(s)
	case rows == 6:
		stripBytex6x16AVX2(s)
	default:
		stripBytex4x16AVX2(s)
	}
}

//go:noescape
func stripBF16x4x16AVX2(s *stripI8)

//go:noescape
func stripBF16x2x48AVXVNNI(s *stripI8)

//go:noescape
func stripBF16x6x16AVX2(s *stripI8)

//go:noescape
func stripBF16x6x16AVXVNNI(s *stripI8)

//go:noescape
func stripBF16x8x48AVX512(s *stripI8)

//go:noescape
func stripBF16x8x48AVX512VNNI(s *stripI8)

//go:noescape
func stripBytex4x16AVX2(s *stripI8)

//go:noescape
func stripBytex2x48AVXVNNI(s *stripI8)

//go:noescape
func stripBytex6x16AVX2(s *stripI8)

//go:noescape
func stripBytex6x16AVXVNNI(s *stripI8)

//go:noescape
func stripBytex8x48AVX512(s *stripI8)

//go:noescape
func stripBytex8x48AVX512VNNI(s *stripI8)

//go:noescape
func stripF32x4x16AVX2(s *stripI8)

//go:noescape
func stripF32x2x48AVXVNNI(s *stripI8)

//go:noescape
func stripF32x6x16AVX2(s *stripI8)

//go:noescape
func stripF32x6x16AVXVNNI(s *stripI8)

//go:noescape
func stripF32x8x48AVX512(s *stripI8)

//go:noescape
func stripF32x8x48AVX512VNNI(s *stripI8)
