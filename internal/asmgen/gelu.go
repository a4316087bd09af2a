package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// geluForms writes both forms of GELU, by the normal distribution and by a table.
func geluForms(c *build.Context) {
	masks, power := tailMasks(c, "gelu"), newExponential(c)
	at := constants(c, "geluF32", 14, 1, math.Float32frombits(0x7fffffff), 0.35, 0.5, -0.5,
		-0.029125936, 0.027368825, 0.044167202, -0.05613624, -0.081740655, 0.08187074, 0.2843958, 0.34299162, 0.25324428)
	for _, level := range []string{"AVX512", "AVX2"} {
		geluF32(vectors{c, level, masks}, power, at)
	}
	geluI16VBMI(c)
	geluI16AVX512(c)
	geluI16AVX2(c)
}

// geluF32 follows simd's geluF32Generic step by step.
func geluF32(v vectors, power exponential, at []operand.Mem) {
	function(v.Context, "geluF32"+v.level, "func(dst, src *float32, n int)")
	dst, src, n := v.pointer("dst", 4), v.pointer("src", 4), v.count()
	// A minimum or maximum keeps the NaN of its first operand, so these are second.
	most, zero := v.register(at[0]), v.zero()
	one, magnitude, slope, half, minusHalf, coefficients := v.register(at[1]), at[2], at[3], at[4], at[5], at[6:]
	v.each(n, []pointer{dst, src}, func(i int, mask reg.Register) {
		x, a, s, u, p, e := v.vector(), v.vector(), v.vector(), v.vector(), v.vector(), v.vector()
		v.load(v.at(src, i), mask, x)
		v.with(v.VANDPS, v.VANDPS_BCST, magnitude, x, a)
		v.VMINPS(a, most, a)
		v.multiply(slope, a, s)
		v.VADDPS(one, s, s)
		v.VDIVPS(s, one, s)
		v.subtract(half, s, u)
		v.polynomial(coefficients, u, p)
		v.VMULPS(a, a, u)
		v.multiply(minusHalf, u, u)
		power.of(v, u, e)
		v.VMULPS(e, p, p)
		v.VMULPS(s, a, a)
		v.VMULPS(p, a, a)
		v.VMAXPS(x, zero, x)
		v.VSUBPS(a, x, x)
		v.store(x, mask, v.at(dst, i))
	})
	v.end()
}

// The table of GELU as bytes is a parameter of the code for int16: table[i] is what GELU of a value
// from i/32 to (i+1)/32 lacks to max(x, 0), times 1024.
const geluI16 = "func(dst, src *int16, n int, table *[128]uint8)"

// geluI16VBMI looks 64 values up at once. Packing and unpacking both work within 16 bytes, so the
// values come back in their order. The tail is done 32 values at a time.
func geluI16VBMI(c *build.Context) {
	function(c, "geluI16VBMI", geluI16)
	v := vectors{Context: c, level: "AVX512"}
	dst, src, n := v.pointer("dst", 2), v.pointer("src", 2), v.count()
	table := c.Load(c.Param("table"), c.GP64())
	lower, upper, zero := c.ZMM(), c.ZMM(), v.zero()
	c.VMOVDQU8(operand.Mem{Base: table}, lower)
	c.VMOVDQU8(operand.Mem{Base: table, Disp: 64}, upper)
	lookUp := func(x, y reg.VecVirtual) {
		index, other := c.ZMM(), c.ZMM()
		c.VPABSW(x, index)
		c.VPSRLW(operand.Imm(5), index, index)
		c.VPABSW(y, other)
		c.VPSRLW(operand.Imm(5), other, other)
		c.VPACKSSWB(other, index, index)
		c.VPERMI2B(upper, lower, index)
		c.VPMAXSW(zero, x, x)
		c.VPMAXSW(zero, y, y)
		c.VPUNPCKHBW(zero, index, other)
		c.VPUNPCKLBW(zero, index, index)
		c.VPSUBW(index, x, x)
		c.VPSUBW(other, y, y)
	}
	words(v, n, []pointer{dst, src}, 64, func(mask reg.Register) {
		x, y := c.ZMM(), c.ZMM()
		if mask == nil {
			c.VMOVDQU16(operand.Mem{Base: src}, x)
			c.VMOVDQU16(operand.Mem{Base: src, Disp: 64}, y)
			lookUp(x, y)
			c.VMOVDQU16(x, operand.Mem{Base: dst})
			c.VMOVDQU16(y, operand.Mem{Base: dst, Disp: 64})
			return
		}
		c.VMOVDQU16_Z(operand.Mem{Base: src}, mask, x)
		c.VMOVDQA64(zero, y)
		lookUp(x, y)
		c.VMOVDQU16(x, mask, operand.Mem{Base: dst})
	})
	v.end()
}

// geluI16AVX512 looks words up, each two bytes of the table, and shifts the right one down.
func geluI16AVX512(c *build.Context) {
	function(c, "geluI16AVX512", geluI16)
	v := vectors{Context: c, level: "AVX512"}
	dst, src, n := v.pointer("dst", 2), v.pointer("src", 2), v.count()
	table := c.Load(c.Param("table"), c.GP64())
	lower, upper, zero := c.ZMM(), c.ZMM(), v.zero()
	c.VMOVDQU8(operand.Mem{Base: table}, lower)
	c.VMOVDQU8(operand.Mem{Base: table, Disp: 64}, upper)
	last, eight, low := wordConstant(c, 127), wordConstant(c, 8), wordConstant(c, 0xff)
	words(v, n, []pointer{dst, src}, 32, func(mask reg.Register) {
		x, index, shift := c.ZMM(), c.ZMM(), c.ZMM()
		if mask == nil {
			c.VMOVDQU16(operand.Mem{Base: src}, x)
		} else {
			c.VMOVDQU16_Z(operand.Mem{Base: src}, mask, x)
		}
		c.VPABSW(x, index)
		c.VPSRLW(operand.Imm(5), index, index)
		c.VPMINUW(last, index, index)
		c.VPSLLW(operand.Imm(3), index, shift)
		c.VPANDD(eight, shift, shift)
		c.VPSRLW(operand.Imm(1), index, index)
		c.VPERMI2W(upper, lower, index)
		c.VPSRLVW(shift, index, index)
		c.VPANDD(low, index, index)
		c.VPMAXSW(zero, x, x)
		c.VPSUBW(index, x, x)
		if mask == nil {
			c.VMOVDQU16(x, operand.Mem{Base: dst})
		} else {
			c.VMOVDQU16(x, mask, operand.Mem{Base: dst})
		}
	})
	v.end()
}

func wordConstant(c *build.Context, value uint32) reg.VecVirtual {
	word, x := c.GP32(), c.ZMM()
	c.MOVL(operand.U32(value), word)
	c.VPBROADCASTW(word, x)
	return x
}

// words runs body over so many int16 at a time and then over 32 or fewer under masks.
func words(v vectors, n reg.GPVirtual, pointers []pointer, elements int, body func(mask reg.Register)) {
	v.CMPQ(n, operand.Imm(uint64(elements)))
	v.JL(operand.LabelRef("rest"))
	v.Label("loop")
	body(nil)
	v.advance(pointers, n, elements)
	v.CMPQ(n, operand.Imm(uint64(elements)))
	v.JGE(operand.LabelRef("loop"))
	v.Label("rest")
	v.TESTQ(n, n)
	v.JLE(operand.LabelRef("done"))
	k := v.K()
	v.KMOVD(tailBits(v.Context, n).As32(), k)
	body(k)
	v.advance(pointers, n, 32)
	v.JMP(operand.LabelRef("rest"))
	v.Label("done")
}

// geluI16AVX2 looks 32 values up in 8 registers of 16 entries. VPSHUFB takes the lower 4 bits of an
// index, or gives 0 if its sign is set. Each register holds the difference (by xor) of its entries to
// those before, and 16 is subtracted from the index between them: so entry i is what i/16+1 lookups
// xored give, and the others give 0. What does not fill 32 values is left.
func geluI16AVX2(c *build.Context) {
	function(c, "geluI16AVX2", geluI16)
	dst, src := c.Load(c.Param("dst"), c.GP64()), c.Load(c.Param("src"), c.GP64())
	n, table := c.Load(c.Param("n"), c.GP64()), c.Load(c.Param("table"), c.GP64())
	var entries [8]reg.VecVirtual
	for i := range entries {
		entries[i] = c.YMM()
		c.VBROADCASTI128(operand.Mem{Base: table, Disp: i * 16}, entries[i])
	}
	for i := 7; i > 0; i-- {
		c.VPXOR(entries[i-1], entries[i], entries[i])
	}
	zero, sixteen, word := c.YMM(), c.YMM(), c.GP32()
	c.VPXOR(zero, zero, zero)
	c.MOVL(operand.U32(16), word)
	c.VMOVD(word, sixteen.AsX())
	c.VPBROADCASTB(sixteen.AsX(), sixteen)
	c.SUBQ(operand.Imm(32), n)
	c.JL(operand.LabelRef("done"))
	c.Label("loop")
	x, y, index, other, entry := c.YMM(), c.YMM(), c.YMM(), c.YMM(), c.YMM()
	c.VMOVDQU(operand.Mem{Base: src}, x)
	c.VMOVDQU(operand.Mem{Base: src, Disp: 32}, y)
	c.VPABSW(x, index)
	c.VPSRLW(operand.Imm(5), index, index)
	c.VPABSW(y, other)
	c.VPSRLW(operand.Imm(5), other, other)
	c.VPACKSSWB(other, index, index)
	c.VPSHUFB(index, entries[0], entry)
	for _, e := range entries[1:] {
		c.VPSUBB(sixteen, index, index)
		c.VPSHUFB(index, e, other)
		c.VPXOR(other, entry, entry)
	}
	c.VPMAXSW(zero, x, x)
	c.VPMAXSW(zero, y, y)
	c.VPUNPCKLBW(zero, entry, index)
	c.VPUNPCKHBW(zero, entry, other)
	c.VPSUBW(index, x, x)
	c.VPSUBW(other, y, y)
	c.VMOVDQU(x, operand.Mem{Base: dst})
	c.VMOVDQU(y, operand.Mem{Base: dst, Disp: 32})
	c.ADDQ(operand.Imm(64), src)
	c.ADDQ(operand.Imm(64), dst)
	c.SUBQ(operand.Imm(32), n)
	c.JGE(operand.LabelRef("loop"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}
