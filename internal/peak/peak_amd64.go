//go:build amd64 && !noasm

package peak

import "github.com/maida-ai/gomai/internal/cpu"

var loopsI8 = map[cpu.Level]Loop{
	cpu.AVX512VNNI: {"VPDPBUSD, 512 bits", 24 * 128, peakI8AVX512VNNI},
	cpu.AVX512:     {"VPMADDUBSW, VPMADDWD, VPADDD, 512 bits", 16 * 128, peakI8AVX512},
	cpu.AVXVNNI:    {"VPDPBUSD, 256 bits", 12 * 64, peakI8AVXVNNI},
	cpu.AVX2:       {"VPMADDUBSW, VPMADDWD, VPADDD, 256 bits", 8 * 64, peakI8AVX2},
}

var loopsF32 = map[cpu.Level]Loop{
	cpu.AVX512: {"VFMADD231PS, 512 bits", 24 * 32, peakF32AVX512},
	cpu.AVX2:   {"VFMADD231PS, 256 bits", 12 * 16, peakF32AVX2},
}

//go:noescape
func peakI8AVX512VNNI(numbers *byte, n int)

//go:noescape
func peakI8AVX512(numbers *byte, n int)

//go:noescape
func peakI8AVXVNNI(numbers *byte, n int)

//go:noescape
func peakI8AVX2(numbers *byte, n int)

//go:noescape
func peakF32AVX512(numbers *byte, n int)

//go:noescape
func peakF32AVX2(numbers *byte, n int)
