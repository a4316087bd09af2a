package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// softmax writes the steps of a softmax: the greatest value, the powers of e with their sum, the shares.
func softmax(c *build.Context) {
	masks, power := tailMasks(c, "softmax"), newExponential(c)
	maximum(vectors{c, "AVX512", masks})
	maximum(vectors{c, "AVX2", masks})
	reduction{
		name: "expSumF32", signature: "func(dst, a *float32, n int, greatest float32) float32",
		one: true, scalar: "greatest", keep: true,
		term: func(v vectors, x reg.VecVirtual, greatest operand.Op) {
			y := v.vector()
			v.VSUBPS(greatest, x, x)
			power.of(v, x, y)
			v.VMOVAPS(y, x)
		},
	}.write(c, masks)
	shares(vectors{c, "AVX512", masks})
	shares(vectors{c, "AVX2", masks})
}

// shares writes the last step, x *= factor.
func shares(v vectors) {
	function(v.Context, "shareF32"+v.level, "func(x *float32, n int, factor float32)")
	x, n, factor := v.pointer("x", 4), v.count(), v.broadcast("factor")
	v.each(n, []pointer{x}, func(i int, mask reg.Register) {
		share := v.vector()
		v.load(v.at(x, i), mask, share)
		v.VMULPS(share, factor, share)
		v.store(share, mask, v.at(x, i))
	})
	v.end()
}

// maximum begins with the value least. If an element is NaN, the result may be any of them.
func maximum(v vectors) {
	function(v.Context, "maxF32"+v.level, "func(a *float32, n int, least float32) float32")
	a, n := v.pointer("a", 4), v.count()
	least := v.broadcast("least")
	greatest := []reg.VecVirtual{v.vector(), v.vector()}
	for _, g := range greatest {
		v.VMOVAPS(least, g)
	}
	v.each(n, []pointer{a}, func(i int, mask reg.Register) {
		g, x := greatest[i], v.vector()
		v.load(v.at(a, i), mask, x)
		switch {
		case mask == nil:
			v.VMAXPS(x, g, g)
		case v.wide():
			v.VMAXPS(x, g, mask, g)
		default:
			v.VBLENDVPS(mask, x, least, x)
			v.VMAXPS(x, g, g)
		}
	})
	result := fold(v.Context, greatest, v.VMAXPS)
	v.VZEROUPPER()
	v.Store(result, v.ReturnIndex(0))
	v.RET()
}

// exponential holds the constants of simd's expNegative.
type exponential struct {
	log2e, round, ln2, rest, one, exponent, least operand.Mem
	coefficients                                  []operand.Mem
}

func newExponential(c *build.Context) exponential {
	at := constants(c, "exponential",
		math.Log2E, 0x1.8p23, 0.693359375, -2.12194440e-4, 1, math.Float32frombits(127<<23), -87.33,
		0.0013814613, 0.00836871, 0.04166839, 0.16666521, 0.49999994)
	return exponential{at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7:]}
}

// of leaves in y the powers of e, following simd's expNegative step by step.
func (e exponential) of(v vectors, x, y reg.VecVirtual) {
	n, r, power := v.vector(), v.vector(), v.vector()
	v.multiply(e.log2e, x, n)
	v.add(e.round, n, n)
	v.VPSLLD(operand.Imm(23), n, power)
	v.with(v.VPADDD, v.VPADDD_BCST, e.exponent, power, power)
	v.subtract(e.round, n, n)
	v.multiply(e.ln2, n, r)
	v.VSUBPS(r, x, r)
	v.multiply(e.rest, n, n)
	v.VSUBPS(n, r, r)
	v.polynomial(e.coefficients, r, y)
	v.VMULPS(r, r, n)
	v.VMULPS(n, y, y)
	v.VADDPS(r, y, y)
	v.add(e.one, y, y)
	v.VMULPS(power, y, y)
	v.clearBelow(e.least, x, y)
}
