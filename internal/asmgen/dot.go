package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot writes the float32 reductions of two vectors, in the order of simd.DotF32: 64 partial sums, products
// rounded before they are added.
func dot(c *build.Context) {
	dotF32AVX512(c)
}

func dotF32AVX512(c *build.Context) {
	function(c, "dotF32AVX512", "func(a, b *float32, n int) float32")
	a, b, n := c.Load(c.Param("a"), c.GP64()), c.Load(c.Param("b"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	var sum, product [4]reg.VecVirtual
	for i := range sum {
		sum[i], product[i] = c.ZMM(), c.ZMM()
		c.VPXORD(sum[i], sum[i], sum[i])
	}
	c.CMPQ(n, operand.Imm(64))
	c.JL(operand.LabelRef("tail"))
	c.Label("loop")
	for i := range sum {
		c.VMOVUPS(operand.Mem{Base: a, Disp: i * 64}, product[i])
	}
	for i := range sum {
		c.VMULPS(operand.Mem{Base: b, Disp: i * 64}, product[i], product[i])
		c.VADDPS(product[i], sum[i], sum[i])
	}
	c.ADDQ(operand.U32(256), a)
	c.ADDQ(operand.U32(256), b)
	c.SUBQ(operand.Imm(64), n)
	c.CMPQ(n, operand.Imm(64))
	c.JGE(operand.LabelRef("loop"))

	// The tail of 0 to 63 elements: bit i of the mask stands for element i.
	c.Label("tail")
	bits := c.GP64()
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(n, bits, bits)
	for i := range sum {
		k := c.K()
		c.KMOVW(bits.As32(), k)
		c.VMOVUPS_Z(operand.Mem{Base: a, Disp: i * 64}, k, product[i])
		c.VMULPS_Z(operand.Mem{Base: b, Disp: i * 64}, product[i], k, product[i])
		c.VADDPS(product[i], sum[i], k, sum[i])
		c.SHRQ(operand.Imm(16), bits)
	}
	c.Store(foldF32AVX512(c, sum), c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}

// foldF32AVX512 adds 64 partial sums up: 64 to 32, to 16, ... to 1.
func foldF32AVX512(c *build.Context, sum [4]reg.VecVirtual) reg.VecVirtual {
	c.VADDPS(sum[2], sum[0], sum[0])
	c.VADDPS(sum[3], sum[1], sum[1])
	c.VADDPS(sum[1], sum[0], sum[0])
	upper := c.ZMM()
	c.VEXTRACTF64X4(operand.Imm(1), sum[0], upper.AsY())
	c.VADDPS(upper.AsY(), sum[0].AsY(), sum[0].AsY())
	c.VEXTRACTF128(operand.Imm(1), sum[0].AsY(), upper.AsX())
	c.VADDPS(upper.AsX(), sum[0].AsX(), sum[0].AsX())
	c.VPERMILPD(operand.Imm(1), sum[0].AsX(), upper.AsX())
	c.VADDPS(upper.AsX(), sum[0].AsX(), sum[0].AsX())
	c.VMOVSHDUP(sum[0].AsX(), upper.AsX())
	c.VADDSS(upper.AsX(), sum[0].AsX(), sum[0].AsX())
	return sum[0].AsX().(reg.VecVirtual)
}
