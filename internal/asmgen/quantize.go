package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quantize writes the conversions between float32 and its quanta. With AVX-512 they take any number of
// elements but 0, with AVX2 a multiple of 32; binarizeF32AVX2 wants one of 64.
func quantize(c *build.Context) {
	dwordOrder(c)
	for _, level := range []elementwise{{"AVX512", c.ZMM}, {"AVX2", c.YMM}} {
		largestF32(c, level)
		rangeF32(c, level)
		quantizeF32(c, level, "quantizeF32I8", "func(dst *int8, src *float32, n int, scale float32)", false)
		quantizeF32(c, level, "quantizeF32U8", "func(dst *uint8, src *float32, n int, scale, offset float32)", true)
		dequantizeF32(c, level, "dequantizeI8F32", "func(dst *float32, src *int8, n int, scale float32)", false)
		dequantizeF32(c, level, "dequantizeU8F32", "func(dst *float32, src *uint8, n int, scale, offset float32)", true)
	}
	binarizeF32AVX512(c)
	binarizeF32AVX2(c)
}

type elementwise struct {
	level  string
	vector func() reg.VecVirtual
}

// each calls step for four vectors at a time and, with AVX-512, last for one vector of which the mask
// keeps what is left, until nothing is.
func (e elementwise) each(c *build.Context, n reg.GPVirtual, advance func(elements int), step func(), last func(k reg.OpmaskVirtual)) {
	if e.level != "AVX512" {
		c.Label("four")
		step()
		advance(32)
		c.SUBQ(operand.U32(32), n)
		c.JNE(operand.LabelRef("four"))
		return
	}
	c.CMPQ(n, operand.U32(64))
	c.JL(operand.LabelRef("one"))
	c.Label("four")
	step()
	advance(64)
	c.SUBQ(operand.U32(64), n)
	c.CMPQ(n, operand.U32(64))
	c.JGE(operand.LabelRef("four"))
	c.Label("one")
	c.TESTQ(n, n)
	c.JE(operand.LabelRef("done"))
	c.Label("rest")
	last(firstBits(c, n))
	advance(16)
	c.SUBQ(operand.U32(16), n)
	c.JG(operand.LabelRef("rest"))
	c.Label("done")
}

func argument(c *build.Context, name string) reg.GPVirtual {
	return c.Load(c.Param(name), c.GP64()).(reg.GPVirtual)
}

// largestF32 returns the largest bits without sign: those of the largest number, or of what is not finite.
func largestF32(c *build.Context, e elementwise) {
	function(c, "largestF32"+e.level, "func(src *float32, n int) uint32")
	src, n := argument(c, "src"), argument(c, "n")
	unsigned := repeat(c, e.vector, 0x7fffffff)
	largest, x := zeros(c, e.vector, 4), e.vector()
	size := int(x.Size())
	e.each(c, n, func(elements int) { c.ADDQ(operand.U32(4*elements), src) }, func() {
		for i := range largest {
			and(c, operand.Mem{Base: src, Disp: size * i}, unsigned, x)
			c.VPMAXUD(x, largest[i], largest[i])
		}
	}, func(k reg.OpmaskVirtual) {
		c.VPANDD_Z(operand.Mem{Base: src}, unsigned, k, x)
		c.VPMAXUD(x, largest[0], largest[0])
	})
	for _, v := range largest[1:] {
		c.VPMAXUD(v, largest[0], largest[0])
	}
	c.Store(foldWith(c, largest[0], func(x, y reg.Register) { c.VPMAXUD(x, y, y) }), c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}

func and(c *build.Context, m operand.Op, y, dst reg.VecVirtual) {
	if dst.Size() == 64 {
		c.VPANDD(m, y, dst)
	} else {
		c.VPAND(m, y, dst)
	}
}

// rangeF32 returns the least and the greatest of the bits in the order of the numbers, as int32: of
// negative ones all bits but the sign are flipped.
func rangeF32(c *build.Context, e elementwise) {
	function(c, "rangeF32"+e.level, "func(src *float32, n int) (low, high int32)")
	src, n := argument(c, "src"), argument(c, "n")
	low, high := repeat(c, e.vector, 0x7fffffff), repeat(c, e.vector, 0x80000000)
	x, flip := e.vector(), e.vector()
	order := func() {
		c.VPSRAD(operand.Imm(31), x, flip)
		c.VPSRLD(operand.Imm(1), flip, flip)
		exclusiveOr(c, flip, x, x)
	}
	e.each(c, n, func(elements int) { c.ADDQ(operand.U32(4*elements), src) }, func() {
		for i := range 4 {
			move(c, operand.Mem{Base: src, Disp: int(x.Size()) * i}, x)
			order()
			c.VPMINSD(x, low, low)
			c.VPMAXSD(x, high, high)
		}
	}, func(k reg.OpmaskVirtual) {
		c.VMOVDQU32_Z(operand.Mem{Base: src}, k, x)
		order()
		c.VPMINSD(x, low, k, low)
		c.VPMAXSD(x, high, k, high)
	})
	c.Store(foldWith(c, low, func(x, y reg.Register) { c.VPMINSD(x, y, y) }), c.ReturnIndex(0))
	c.Store(foldWith(c, high, func(x, y reg.Register) { c.VPMAXSD(x, y, y) }), c.ReturnIndex(1))
	c.VZEROUPPER()
	c.RET()
}

// quantizeF32 rounds quotients, which lie in the range of a byte, to nearest, ties to even.
func quantizeF32(c *build.Context, e elementwise, name, signature string, affine bool) {
	function(c, name+e.level, signature)
	dst, src, n := argument(c, "dst"), argument(c, "src"), argument(c, "n")
	scale := broadcast(c, "scale", e.vector)
	var offset reg.VecVirtual
	if affine {
		offset = broadcast(c, "offset", e.vector)
	}
	divide := func(x reg.VecVirtual) {
		if affine {
			c.VSUBPS(offset, x, x)
		}
		c.VDIVPS(scale, x, x)
		c.VCVTPS2DQ(x, x)
	}
	advance := func(elements int) {
		c.ADDQ(operand.U32(elements), dst)
		c.ADDQ(operand.U32(4*elements), src)
	}
	x := [4]reg.VecVirtual{e.vector(), e.vector(), e.vector(), e.vector()}
	size := int(x[0].Size())
	var order reg.VecVirtual
	if e.level == "AVX2" {
		order = c.YMM()
		c.VMOVDQU(operand.NewDataAddr(operand.NewStaticSymbol("dwordOrder"), 0), order)
	}
	e.each(c, n, advance, func() {
		for i, x := range x {
			c.VMOVUPS(operand.Mem{Base: src, Disp: size * i}, x)
			divide(x)
			if size == 64 {
				c.VPMOVDB(x, operand.Mem{Base: dst, Disp: 16 * i})
			}
		}
		if size == 64 {
			return
		}
		c.VPACKSSDW(x[1], x[0], x[0])
		c.VPACKSSDW(x[3], x[2], x[2])
		if affine {
			c.VPACKUSWB(x[2], x[0], x[0])
		} else {
			c.VPACKSSWB(x[2], x[0], x[0])
		}
		c.VPERMD(x[0], order, x[0])
		c.VMOVDQU(x[0], operand.Mem{Base: dst})
	}, func(k reg.OpmaskVirtual) {
		c.VMOVUPS_Z(operand.Mem{Base: src}, k, x[0])
		divide(x[0])
		c.VPMOVDB(x[0], k, operand.Mem{Base: dst})
	})
	c.VZEROUPPER()
	c.RET()
}

// dwordOrder writes the order that undoes how AVX2 packs, half by half, once a file.
func dwordOrder(c *build.Context) {
	c.StaticGlobal("dwordOrder")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, dword := range []operand.U32{0, 4, 1, 5, 2, 6, 3, 7} {
		c.AddDatum(4*i, dword)
	}
}

func dequantizeF32(c *build.Context, e elementwise, name, signature string, affine bool) {
	function(c, name+e.level, signature)
	dst, src, n := argument(c, "dst"), argument(c, "src"), argument(c, "n")
	scale := broadcast(c, "scale", e.vector)
	var offset reg.VecVirtual
	if affine {
		offset = broadcast(c, "offset", e.vector)
	}
	x := e.vector()
	size := int(x.Size())
	multiply := func() {
		c.VCVTDQ2PS(x, x)
		c.VMULPS(scale, x, x)
		if affine {
			c.VADDPS(offset, x, x)
		}
	}
	advance := func(elements int) {
		c.ADDQ(operand.U32(4*elements), dst)
		c.ADDQ(operand.U32(elements), src)
	}
	e.each(c, n, advance, func() {
		for i := range 4 {
			m := operand.Mem{Base: src, Disp: size / 4 * i}
			if affine {
				c.VPMOVZXBD(m, x)
			} else {
				c.VPMOVSXBD(m, x)
			}
			multiply()
			c.VMOVUPS(x, operand.Mem{Base: dst, Disp: size * i})
		}
	}, func(k reg.OpmaskVirtual) {
		if affine {
			c.VPMOVZXBD_Z(operand.Mem{Base: src}, k, x)
		} else {
			c.VPMOVSXBD_Z(operand.Mem{Base: src}, k, x)
		}
		multiply()
		c.VMOVUPS(x, k, operand.Mem{Base: dst})
	})
	c.VZEROUPPER()
	c.RET()
}

const (
	binarizeSignature = "func(dst *uint64, src *float32, n int) uint32"
	greater           = operand.U8(0x1e) // quietly false for NaN
)

// binarizeF32AVX512 also returns what largestF32AVX512 does, and so does binarizeF32AVX2.
func binarizeF32AVX512(c *build.Context) {
	function(c, "binarizeF32AVX512", binarizeSignature)
	dst, src, n := argument(c, "dst"), argument(c, "src"), argument(c, "n")
	unsigned, zero, largest := repeat(c, c.ZMM, 0x7fffffff), zeros(c, c.ZMM, 1)[0], zeros(c, c.ZMM, 1)[0]
	bits, mask, part := c.GP64(), c.GP64(), c.GP64()
	x, y := c.ZMM(), c.ZMM()
	c.Label("word")
	c.MOVQ(operand.I32(-1), mask)
	c.CMPQ(n, operand.U32(64))
	c.JGE(operand.LabelRef("whole"))
	c.BZHIQ(n, mask, mask)
	c.Label("whole")
	for i := range 4 {
		k, positive := c.K(), c.K()
		c.KMOVW(mask.As32(), k)
		c.SHRQ(operand.Imm(16), mask)
		c.VMOVUPS_Z(operand.Mem{Base: src, Disp: 64 * i}, k, x)
		c.VPANDD(x, unsigned, y)
		c.VPMAXUD(y, largest, largest)
		c.VCMPPS(greater, zero, x, positive)
		if i == 0 {
			c.KMOVW(positive, bits.As32())
			continue
		}
		c.KMOVW(positive, part.As32())
		c.SHLQ(operand.Imm(uint64(16*i)), part)
		c.ORQ(part, bits)
	}
	c.MOVQ(bits, operand.Mem{Base: dst})
	c.ADDQ(operand.U32(8), dst)
	c.ADDQ(operand.U32(256), src)
	c.SUBQ(operand.U32(64), n)
	c.JG(operand.LabelRef("word"))
	c.Store(foldWith(c, largest, func(x, y reg.Register) { c.VPMAXUD(x, y, y) }), c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}

func binarizeF32AVX2(c *build.Context) {
	function(c, "binarizeF32AVX2", binarizeSignature)
	dst, src, n := argument(c, "dst"), argument(c, "src"), argument(c, "n")
	unsigned, zero, largest := repeat(c, c.YMM, 0x7fffffff), zeros(c, c.YMM, 1)[0], zeros(c, c.YMM, 1)[0]
	bits, part := c.GP64(), c.GP64()
	x, y := c.YMM(), c.YMM()
	c.Label("word")
	for i := range 8 {
		c.VMOVUPS(operand.Mem{Base: src, Disp: 32 * i}, x)
		c.VPAND(x, unsigned, y)
		c.VPMAXUD(y, largest, largest)
		c.VCMPPS(greater, zero, x, x)
		if i == 0 {
			c.VMOVMSKPS(x, bits.As32())
			continue
		}
		c.VMOVMSKPS(x, part.As32())
		c.SHLQ(operand.Imm(uint64(8*i)), part)
		c.ORQ(part, bits)
	}
	c.MOVQ(bits, operand.Mem{Base: dst})
	c.ADDQ(operand.U32(8), dst)
	c.ADDQ(operand.U32(256), src)
	c.SUBQ(operand.U32(64), n)
	c.JNE(operand.LabelRef("word"))
	c.Store(foldWith(c, largest, func(x, y reg.Register) { c.VPMAXUD(x, y, y) }), c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}
