package simd

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

var softmaxF32Code = cpu.Implement("SoftmaxF32", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// SoftmaxF32 turns src into shares that sum up to 1 and grow with e to the power of src.
//
//	for i := range src { dst[i] = exp(src[i]-max(src)) }; for i := range dst { dst[i] *= 1 / sum(dst) }
//
// Shape:  dst, src (n,), n >= 0.
// Units:  none.
// Panics: if len(dst) != len(src).
// Cost:   no allocation; dst may be src, but not overlap it otherwise.
// Exact:  bit-identical on every level; the sum is in the order of DotF32. The relative error of a
// share is at most (d + ln(n) + n/64 + 14) * 2^-24, where d is the distance of src[i] from the greatest;
// it is 0 where d > 87.33, so also where src[i] is -Inf. All are NaN if an element is NaN or +Inf, or
// all are -Inf: there is no distribution then.
// Source: the definition; see expNegative.
func SoftmaxF32(dst, src []float32) {
	if len(dst) != len(src) {
		panic("simd: SoftmaxF32: lengths differ")
	}
	greatest := float32(math.Inf(-1))
	for rest := src; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
		greatest = maxF32(rest[:min(chunk, len(rest))], greatest)
	}
	var sum float32
	for i := 0; i < len(src); i += chunk {
		end := min(i+chunk, len(src))
		sum += expSumF32(dst[i:end], src[i:end], greatest)
	}
	for rest := dst; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
		shareF32(rest[:min(chunk, len(rest))], 1/sum)
	}
}

// maxF32Generic returns the greatest of a and least. Which one that is does not matter to SoftmaxF32
// if there is a NaN: the sum will be NaN.
func maxF32Generic(a []float32, least float32) float32 {
	for _, x := range a {
		if x > least {
			least = x
		}
	}
	return least
}

// expSumF32Generic sets dst to the powers of e and returns their sum in the order of DotF32.
func expSumF32Generic(dst, src []float32, greatest float32) float32 {
	var sum [lanes]float32
	for i, x := range src {
		y := expNegative(x - greatest)
		dst[i] = y
		sum[i%lanes] += y
	}
	return fold(&sum)
}

func shareF32Generic(x []float32, factor float32) {
	for i := range x {
		x[i] *= factor
	}
}

// expNegative returns e to the power of x <= 0, with a relative error of at most 2^-23, or 0 below
// -87.33, where the result would be denormal; a NaN stays one. With n the integer nearest to x/ln(2),
// it is 2^n times e to the power of r = x - n*ln(2), which a polynomial in r gives. Adding 1.5*2^23
// rounds to an integer and leaves it in the last bits, from where it is shifted into the exponent.
// ln(2) is subtracted in two steps, of which the first is exact.
//
// Source: Cody and Waite, Software Manual for the Elementary Functions, chapter 6; the coefficients
// are a minimax fit of (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, with r^2/e^r as weight.
func expNegative(x float32) float32 {
	const round = 0x1.8p23
	if x < -87.33 {
		return 0
	}
	shifted := float32(x*math.Log2E) + round
	power := math.Float32frombits(math.Float32bits(shifted)<<23 + 127<<23)
	n := shifted - round
	r := x - float32(n*0.693359375)
	r -= float32(n * -2.12194440e-4)
	p := float32(0.0013814613*r) + 0.00836871
	p = float32(p*r) + 0.04166839
	p = float32(p*r) + 0.16666521
	p = float32(p*r) + 0.49999994
	return float32((1 + (r + float32(float32(r*r)*p))) * power)
}
