package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var (
	geluF32Code = cpu.Implement("GeluF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
	geluI16Code = cpu.Implement("GeluI16",
		cpu.Variant{Level: cpu.AVX512, Needs: cpu.VBMI}, cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})
)

// GeluF32 multiplies each element by the share of the normal distribution that lies below it.
//
//	for i := range src { dst[i] = src[i] * (1 + erf(src[i]/sqrt(2))) / 2 }
//
// Shape:  dst, src (n,), n >= 0.
// Units:  none.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst may be src, but not overlap it otherwise.
// Exact:  bit-identical on every level. The relative error is at most (x^2/2 + 8) * 2^-24 for x < 0 and
// 8 * 2^-24 for x > 0, plus 2^-126. -Inf gives 0, +Inf gives +Inf, NaN gives NaN, -0 gives -0.
// Source: Hendrycks, Gimpel, Gaussian Error Linear Units, 2016; see geluF32Generic.
func GeluF32(dst, src []float32) {
	if len(dst) != len(src) {
		panic("simd: GeluF32: lengths differ")
	}
	for len(src) > chunk {
		geluF32(dst[:chunk], src[:chunk])
		dst, src = dst[chunk:], src[chunk:]
	}
	geluF32(dst, src)
}

// geluF32Generic subtracts from max(x, 0) what GELU lacks to it, which is a*Q(a) for a = |x| and the
// upper tail Q of the normal distribution. Q(a) is s*P(s) * e^(-a^2/2) with s = 1/(1+0.35a) and a
// polynomial P, so that tiny values keep their digits. From 14 on, Q is 0.
//
// The coefficients are a minimax fit, in s - 1/2, of the relative error for 0 <= a <= 13.5: 0.5 * 2^-24.
// The form is that of Hastings, Approximations for Digital Computers, 1955, sheet 43.
func geluF32Generic(dst, src []float32) {
	for i, x := range src {
		a := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
		if a > 14 {
			a = 14
		}
		s := 1 / (float32(0.35*a) + 1)
		u := s - 0.5
		p := float32(-0.029125936*u) + 0.027368825
		p = float32(p*u) + 0.044167202
		p = float32(p*u) - 0.05613624
		p = float32(p*u) - 0.081740655
		p = float32(p*u) + 0.08187074
		p = float32(p*u) + 0.2843958
		p = float32(p*u) + 0.34299162
		p = float32(p*u) + 0.25324428
		p *= expNegative(-0.5 * float32(a*a))
		lack := float32(float32(a*s) * p)
		if x < 0 {
			x = 0
		}
		dst[i] = x - lack
	}
}

// GeluI16 is GELU for numbers that are held as 1024 times their value.
//
//	for i := range src { dst[i] = max(src[i], 0) - table[min(abs(src[i])/32, 127)] }
//
// Shape:  dst, src (n,), n >= 0.
// Units:  1/1024.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst may be src, but not overlap it otherwise.
// Exact:  the same on every level. The error against real GELU is at most 9/1024.
// Source: GELU lacks to max(x, 0) what depends on |x| alone, is at most 0.17 and less than 0.0002 from
// 4 on: a table of 128 bytes, each for 1/32, holds it.
func GeluI16(dst, src []int16) {
	if len(dst) != len(src) {
		panic("simd: GeluI16: lengths differ")
	}
	for len(src) > chunk {
		geluI16(dst[:chunk], src[:chunk])
		dst, src = dst[chunk:], src[chunk:]
	}
	geluI16(dst, src)
}

// geluTable[i] is what GELU lacks to max(x, 0) in the middle of i/32 <= |x| < (i+1)/32, times 1024. The
// last entry stands for all |x| beyond, where nothing is lacking.
var geluTable = func() (table [128]uint8) {
	for i := range len(table) - 1 {
		x := (float64(i) + 0.5) / 32
		table[i] = uint8(math.RoundToEven(1024 * x / 2 * math.Erfc(x/math.Sqrt2)))
	}
	return table
}()

func geluI16Generic(dst, src []int16) {
	for i, x := range src {
		magnitude := int(x)
		if magnitude < 0 {
			magnitude = -magnitude
		}
		dst[i] = max(x, 0) - int16(geluTable[min(magnitude/32, 127)])
	}
}
