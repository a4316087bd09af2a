package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// cosine writes the dot product of a cosine, and its three sums in one pass over both vectors, each in
// the order of simd.DotF32. That takes twelve registers of sums, which only AVX-512 has. The end stands here too,
// as in simd's cosineOfDots: at a few hundred elements its latency is half of the time.
func cosine(c *build.Context) {
	least := c.ConstData("leastSquare", operand.U32(math.Float32bits(0x1p-80)))
	greatest := c.ConstData("greatestSquare", operand.U32(math.Float32bits(0x1p126)))
	zero := c.ConstData("zero", operand.F64(0))
	one, minusOne := c.ConstData("one", operand.F64(1)), c.ConstData("minusOne", operand.F64(-1))
	nan := c.ConstData("nan", operand.U64(math.Float64bits(math.NaN())))
	reduction{name: "fusedDotF32", signature: "func(a, b *float32, n int) float32", fused: true, twice: true}.write(c, tailMasks(c, "cosine"))
	function(c, "cosineF32AVX512", "func(a, b *float32, n int) float64")
	a := c.Load(c.Param("a"), c.GP64()).(reg.GPVirtual)
	b := c.Load(c.Param("b"), c.GP64()).(reg.GPVirtual)
	n := c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	var ab, aa, bb [4]reg.VecVirtual
	for i := range 4 {
		for _, sum := range []*[4]reg.VecVirtual{&ab, &aa, &bb} {
			sum[i] = c.ZMM()
			c.VPXORD(sum[i], sum[i], sum[i])
		}
	}
	add := func(i int, x, y reg.VecVirtual) {
		c.VFMADD231PS(x, y, ab[i])
		c.VFMADD231PS(x, x, aa[i])
		c.VFMADD231PS(y, y, bb[i])
	}
	c.CMPQ(n, operand.Imm(64))
	c.JL(operand.LabelRef("tail"))
	c.Label("loop")
	for i := range 4 {
		x, y := c.ZMM(), c.ZMM()
		c.VMOVUPS(operand.Mem{Base: a, Disp: i * 64}, x)
		c.VMOVUPS(operand.Mem{Base: b, Disp: i * 64}, y)
		add(i, x, y)
	}
	c.ADDQ(operand.I32(256), a)
	c.ADDQ(operand.I32(256), b)
	c.SUBQ(operand.Imm(64), n)
	c.CMPQ(n, operand.Imm(64))
	c.JGE(operand.LabelRef("loop"))

	// Lanes beyond the end hold 0, and adding 0 to a partial sum makes 0 of -0 at most.
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(operand.LabelRef("fold"))
	bits := tailBits(c, n)
	for i := range 4 {
		k := c.K()
		c.KMOVW(bits.As32(), k)
		x, y := c.ZMM(), c.ZMM()
		c.VMOVUPS_Z(operand.Mem{Base: a, Disp: i * 64}, k, x)
		c.VMOVUPS_Z(operand.Mem{Base: b, Disp: i * 64}, k, y)
		add(i, x, y)
		c.SHRQ(operand.Imm(16), bits)
	}
	c.Label("fold")
	squares := foldTwo(c, pairwise(aa[:], c.VADDPS), pairwise(bb[:], c.VADDPS))
	product := fold(c, ab[:], c.VADDPS)

	// Bits 0 and 1 say whether the squares are above the least and not above the greatest.
	const greater, notGreater = 0x1e, 0x12
	above, within, bits := c.K(), c.K(), c.GP32()
	c.VCMPPS_BCST(operand.Imm(greater), least, squares, above)
	c.VCMPPS_BCST(operand.Imm(notGreater), greatest, squares, above, within)
	c.KMOVW(within, bits)
	c.ANDL(operand.Imm(3), bits)
	root, cosine := c.XMM(), c.XMM()
	c.VCVTPS2PD(squares, squares)
	c.VPERMILPD(operand.Imm(1), squares, root)
	c.VMULSD(squares, root, root)
	c.VSQRTSD(root, root, root)
	c.VCVTSS2SD(product, product, cosine)
	c.VADDSD(zero, cosine, cosine) // makes 0 of -0
	c.VDIVSD(root, cosine, cosine)
	c.VMINSD(one, cosine, cosine)
	c.VMAXSD(minusOne, cosine, cosine)
	c.CMPL(bits, operand.Imm(3))
	c.JE(operand.LabelRef("done"))
	c.VMOVSD(nan, cosine)
	c.Label("done")
	c.VZEROUPPER()
	c.Store(cosine, c.ReturnIndex(0))
	c.RET()
}

// foldTwo adds up 16 partial sums in each of two registers, in the order of fold but at once, which
// takes half the time. It returns both, one beside the other.
func foldTwo(c *build.Context, x, y reg.VecVirtual) reg.VecVirtual {
	lower, upper := c.ZMM(), c.ZMM()
	c.VINSERTF64X4(operand.Imm(1), y.AsY(), x, lower)
	c.VSHUFF64X2(operand.Imm(0xee), y, x, upper)
	c.VADDPS(upper, lower, lower) // 8 of x, 8 of y
	c.VSHUFF64X2(operand.Imm(0x0d), lower, lower, upper)
	c.VSHUFF64X2(operand.Imm(0x08), lower, lower, lower)
	c.VADDPS(upper.AsY(), lower.AsY(), lower.AsY()) // 4 of x, 4 of y
	x, y = c.XMM(), c.XMM()
	c.VEXTRACTF128(operand.Imm(1), lower.AsY(), y)
	c.VUNPCKHPD(y, lower.AsX(), x)
	c.VUNPCKLPD(y, lower.AsX(), y)
	c.VADDPS(x, y, y) // 2 of x, 2 of y
	c.VSHUFPS(operand.Imm(0xdd), y, y, x)
	c.VSHUFPS(operand.Imm(0x88), y, y, y)
	c.VADDPS(x, y, y)
	return y
}
