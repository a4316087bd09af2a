package search

import (
	"math"

	"github.com/maida-ai/gomai/simd"
)

func widen(dst []float32, src []simd.Float16) {
	for i := range dst {
		h := src[i]
		sign, rest := uint32(h&0x8000)<<16, uint32(h&0x7fff)<<13
		if h&0x7c00 == 0x7c00 {
			dst[i] = math.Float32frombits(sign | 0x7f800000 | rest)
		} else {
			dst[i] = math.Float32frombits(sign | math.Float32bits(math.Float32frombits(rest)*0x1p112))
		}
	}
}

func narrow(dst []simd.Float16, src []float32) {
	for i, x := range src {
		b := math.Float32bits(x)
		sign, rest := simd.Float16(b>>16&0x8000), b&0x7fffffff
		switch {
		case rest > 0x7f800000:
			dst[i] = sign | 0x7e00
		case rest >= 0x477ff000:
			dst[i] = sign | 0x7c00
		case rest < 0x38800000:
			dst[i] = sign | simd.Float16(math.RoundToEven(float64(math.Float32frombits(rest))*0x1p24))
		default:
			r := rest + 0xfff + rest>>13&1
			dst[i] = sign | simd.Float16((r-0x38000000)>>13)
		}
	}
}

func quantizeI8(dst []int8, src []float32) float32 {
	var top float32
	for _, x := range src {
		if x != x {
			top = x
			break
		}
		top = max(top, x, -x)
	}
	scale := top / 127
	if scale-scale != 0 || scale == 0 {
		clear(dst)
		return scale
	}
	for i, x := range src {
		dst[i] = int8(math.RoundToEven(float64(x / scale)))
	}
	return scale
}

func binarize(dst []uint64, src []float32) {
	clear(dst)
	for i, x := range src {
		if x > 0 {
			dst[i/64] |= 1 << (i % 64)
		}
	}
}
