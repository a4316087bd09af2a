package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// cosine writes the three sums of a cosine in one pass over both vectors, each in the order of
// simd.DotF32. That takes twelve registers of sums, which only AVX-512 has.
func cosine(c *build.Context) {
	function(c, "cosineF32AVX512", "func(a, b *float32, n int) (ab, aa, bb float32)")
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
		xy := c.ZMM()
		c.VMULPS(x, y, xy)
		c.VMULPS(x, x, x)
		c.VMULPS(y, y, y)
		c.VADDPS(xy, ab[i], ab[i])
		c.VADDPS(x, aa[i], aa[i])
		c.VADDPS(y, bb[i], bb[i])
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

	// Lanes beyond the end hold 0, and adding 0 changes no partial sum: none is ever -0.
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
	results := []reg.VecVirtual{fold(c, ab[:], c.VADDPS), fold(c, aa[:], c.VADDPS), fold(c, bb[:], c.VADDPS)}
	c.VZEROUPPER()
	for i, result := range results {
		c.Store(result, c.ReturnIndex(i))
	}
	c.RET()
}
