//go:build amd64 && !noasm

package peak

import "github.com/maida-ai/gomai/internal/cpu"

// tileShare is how many turns of another loop take about as long as one on tiles.
const tileShare = 4

var loopsI8 = map[cpu.Level]Loop{
	cpu.AMX: {"TDPBUSD", 4 * 32768 / tileShare, func(numbers *byte, n int) {
		peakI8AMX(numbers, n/tileShare)
	}},
	cpu.AVX512VNNI: {"VPDPBUSD, 512 bits", 24 * 128, peakI8AVX512VNNI},
	cpu.AVX512:     {"VPMADDUBSW, VPMADDWD, VPADDD, 512 bits", 16 * 128, peakI8AVX512},
	cpu.AVXVNNI:    {"VPDPBUSD, 256 bits", 12 * 64, peakI8AVXVNNI},
	cpu.AVX2:       {"VPMADDUBSW, VPMADDWD, VPADDD, 256 bits", 8 * 64, peakI8AVX2},
}

var loopsF32 = map[cpu.Level]Loop{
	cpu.AVX512: {"VFMADD231PS, 512 bits", 24 * 32, peakF32AVX512},
	cpu.AVX2:   {"VFMADD231PS, 256 bits", 12 * 16, peakF32AVX2},
}

var loopsBF16 = map[cpu.Level]Loop{
	cpu.AMX: {"TDPBF16PS", 4 * 16384 / tileShare, func(numbers *byte, n int) {
		peakBF16AMX(numbers, n/tileShare)
	}},
	cpu.AVX512: {"VDPBF16PS, 512 bits", 24 * 64, peakBF16AVX512BF16},
}

//go:noescape
func peakI8AMX(numbers *byte, n int)

//go:noescape
func peakBF16AMX(numbers *byte, n int)

//go:noescape
func peakBF16AVX512BF16(numbers *byte, n int)

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
