package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// threshold writes what a search does with blocks of scores: compare each with a threshold, scale each.
// The AVX2 versions take whole words of the set, or whole registers, and leave the rest to plain Go.
func threshold(c *build.Context) {
	for _, p := range []struct {
		name      string
		predicate uint64 // of VCMPPS
	}{
		{"notAtMostF32", notAtMost},
		{"notAtLeastF32", notAtLeast},
	} {
		setF32AVX512(c, p.name+"AVX512", p.predicate)
		setF32AVX2(c, p.name+"AVX2", p.predicate)
	}
	belowI32AVX512(c)
	belowI32AVX2(c)
	maxLanesF32(c, "maxLanesF32AVX512", 1, c.ZMM)
	maxLanesF32(c, "maxLanesF32AVX2", 2, c.YMM)
	minLanesI32(c, "minLanesI32AVX512", 1, c.ZMM)
	minLanesI32(c, "minLanesI32AVX2", 2, c.YMM)
	scaleAVX512(c, "scaleF32AVX512", false)
	scaleAVX2(c, "scaleF32AVX2", false)
	scaleAVX512(c, "scaleI32F32AVX512", true)
	scaleAVX2(c, "scaleI32F32AVX2", true)
}

// The predicates of VCMPPS that hold for NaN, without signalling it.
const (
	notAtMost  = 22 // NLE_UQ
	notAtLeast = 25 // NGE_UQ
)

const setF32 = "func(set *uint64, x *float32, n int, t float32)"

func setF32AVX512(c *build.Context, name string, predicate uint64) {
	function(c, name, setF32)
	t := c.ZMM()
	c.VBROADCASTSS(param(c, "t"), t)
	setAVX512(c, func(x operand.Mem, mask, k reg.Register) {
		v := c.ZMM()
		c.VMOVUPS_Z(x, mask, v)
		c.VCMPPS(operand.Imm(predicate), t, v, mask, k)
	})
}

func belowI32AVX512(c *build.Context) {
	function(c, "belowI32AVX512", "func(set *uint64, x *int32, n int, t int32)")
	t := c.ZMM()
	c.VBROADCASTSS(param(c, "t"), t) // four bytes, whatever they mean
	setAVX512(c, func(x operand.Mem, mask, k reg.Register) {
		v := c.ZMM()
		c.VMOVDQU32_Z(x, mask, v)
		c.VPCMPD(operand.Imm(1), t, v, mask, k) // less than
	})
}

// setAVX512 writes a word of the set for each 64 elements, four compares of 16.
func setAVX512(c *build.Context, compare func(x operand.Mem, mask, k reg.Register)) {
	set, x, n := c.Load(c.Param("set"), c.GP64()), c.Load(c.Param("x"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	bits, word, part := c.GP64(), c.GP64(), c.GP64()
	c.Label("loop")
	c.TESTQ(n, n)
	c.JLE(operand.LabelRef("done"))
	// Bit i of bits says whether element i is there; BZHI counts up to 255.
	c.MOVQ(operand.I32(-1), bits)
	c.CMPQ(n, operand.Imm(64))
	c.JGE(operand.LabelRef("whole"))
	c.BZHIQ(n, bits, bits)
	c.Label("whole")
	c.XORQ(word, word)
	for i := range 4 {
		mask, k := c.K(), c.K()
		c.KMOVW(bits.As32(), mask)
		c.SHRQ(operand.Imm(16), bits)
		compare(operand.Mem{Base: x, Disp: 64 * i}, mask, k)
		c.KMOVW(k, part.As32())
		if i > 0 {
			c.SHLQ(operand.Imm(uint64(16*i)), part)
		}
		c.ORQ(part, word)
	}
	c.MOVQ(word, operand.Mem{Base: set})
	c.ADDQ(operand.Imm(8), set)
	c.ADDQ(operand.U32(256), x)
	c.SUBQ(operand.Imm(64), n)
	c.JMP(operand.LabelRef("loop"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

func setF32AVX2(c *build.Context, name string, predicate uint64) {
	function(c, name, setF32)
	t := c.YMM()
	c.VBROADCASTSS(param(c, "t"), t)
	setAVX2(c, func(x operand.Mem, bits reg.GPVirtual) {
		v := c.YMM()
		c.VMOVUPS(x, v)
		c.VCMPPS(operand.Imm(predicate), t, v, v)
		c.VMOVMSKPS(v, bits)
	})
}

func belowI32AVX2(c *build.Context) {
	function(c, "belowI32AVX2", "func(set *uint64, x *int32, n int, t int32)")
	t := c.YMM()
	c.VBROADCASTSS(param(c, "t"), t)
	setAVX2(c, func(x operand.Mem, bits reg.GPVirtual) {
		v := c.YMM()
		c.VPCMPGTD(x, t, v)
		c.VMOVMSKPS(v, bits)
	})
}

// setAVX2 writes a word of the set for each 64 elements, eight compares of 8; n is a multiple of 64.
func setAVX2(c *build.Context, compare func(x operand.Mem, bits reg.GPVirtual)) {
	set, x, n := c.Load(c.Param("set"), c.GP64()), c.Load(c.Param("x"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	word, part := c.GP64(), c.GP64()
	c.Label("loop")
	c.TESTQ(n, n)
	c.JLE(operand.LabelRef("done"))
	c.XORQ(word, word)
	for i := range 8 {
		compare(operand.Mem{Base: x, Disp: 32 * i}, part.As32().(reg.GPVirtual))
		if i > 0 {
			c.SHLQ(operand.Imm(uint64(8*i)), part)
		}
		c.ORQ(part, word)
	}
	c.MOVQ(word, operand.Mem{Base: set})
	c.ADDQ(operand.Imm(8), set)
	c.ADDQ(operand.U32(256), x)
	c.SUBQ(operand.Imm(64), n)
	c.JMP(operand.LabelRef("loop"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// maxLanesF32 keeps the largest of each lane.
func maxLanesF32(c *build.Context, name string, registers int, vector func() reg.VecVirtual) {
	function(c, name, "func(dst *[16]float32, x *float32, n int)")
	lanes(c, registers, vector, 0xff800000, func(v, lane reg.VecVirtual) {
		c.VMAXPS(lane, v, lane) // the first operand, if one is NaN
	})
}

// minLanesI32 keeps the smallest of each lane.
func minLanesI32(c *build.Context, name string, registers int, vector func() reg.VecVirtual) {
	function(c, name, "func(dst *[16]int32, x *int32, n int)")
	lanes(c, registers, vector, 0x7fffffff, func(v, lane reg.VecVirtual) {
		c.VPMINSD(lane, v, lane)
	})
}

// lanes keeps the best of each of 16 lanes, which take so many registers, in four turns that do not
// wait for each other. start is what every value is better than; n is a multiple of 64.
func lanes(c *build.Context, registers int, vector func() reg.VecVirtual, start uint32, better func(v, lane reg.VecVirtual)) {
	dst, x, n := c.Load(c.Param("dst"), c.GP64()), c.Load(c.Param("x"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	best := make([]reg.VecVirtual, 4*registers)
	first, bits := c.XMM(), c.GP32()
	c.MOVL(operand.U32(start), bits)
	c.VMOVD(bits, first)
	for i := range best {
		best[i] = vector()
		c.VBROADCASTSS(first, best[i])
	}
	width := int(best[0].Size())
	c.Label("loop")
	c.TESTQ(n, n)
	c.JLE(operand.LabelRef("done"))
	for i, lane := range best {
		v := vector()
		c.VMOVUPS(operand.Mem{Base: x, Disp: i * width}, v)
		better(v, lane)
	}
	c.ADDQ(operand.U32(256), x)
	c.SUBQ(operand.Imm(64), n)
	c.JMP(operand.LabelRef("loop"))
	c.Label("done")
	for half := len(best) / 2; half >= registers; half /= 2 {
		for i := range half {
			better(best[i+half], best[i])
		}
	}
	for i := range registers {
		c.VMOVUPS(best[i], operand.Mem{Base: dst, Disp: i * width})
	}
	c.VZEROUPPER()
	c.RET()
}

func scaleSignature(fromI32 bool) string {
	if fromI32 {
		return "func(dst *float32, x *int32, factors *float32, n int, factor float32)"
	}
	return "func(dst, x, factors *float32, n int, factor float32)"
}

func scaleAVX512(c *build.Context, name string, fromI32 bool) {
	function(c, name, scaleSignature(fromI32))
	dst, x := c.Load(c.Param("dst"), c.GP64()), c.Load(c.Param("x"), c.GP64())
	factors, n := c.Load(c.Param("factors"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	factor, v, mask, bits := c.ZMM(), c.ZMM(), c.K(), c.GP64()
	c.VBROADCASTSS(param(c, "factor"), factor)
	c.Label("loop")
	c.TESTQ(n, n)
	c.JLE(operand.LabelRef("done"))
	c.MOVQ(operand.I32(-1), bits)
	c.CMPQ(n, operand.Imm(16))
	c.JGE(operand.LabelRef("whole"))
	c.BZHIQ(n, bits, bits)
	c.Label("whole")
	c.KMOVW(bits.As32(), mask)
	if fromI32 {
		c.VCVTDQ2PS_Z(operand.Mem{Base: x}, mask, v)
	} else {
		c.VMOVUPS_Z(operand.Mem{Base: x}, mask, v)
	}
	c.VMULPS_Z(operand.Mem{Base: factors}, v, mask, v)
	c.VMULPS(factor, v, v)
	c.VMOVUPS(v, mask, operand.Mem{Base: dst})
	for _, p := range []reg.Register{dst, x, factors} {
		c.ADDQ(operand.Imm(64), p)
	}
	c.SUBQ(operand.Imm(16), n)
	c.JMP(operand.LabelRef("loop"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// scaleAVX2 takes an n that is a multiple of 8.
func scaleAVX2(c *build.Context, name string, fromI32 bool) {
	function(c, name, scaleSignature(fromI32))
	dst, x := c.Load(c.Param("dst"), c.GP64()), c.Load(c.Param("x"), c.GP64())
	factors, n := c.Load(c.Param("factors"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	factor, v := c.YMM(), c.YMM()
	c.VBROADCASTSS(param(c, "factor"), factor)
	c.Label("loop")
	c.TESTQ(n, n)
	c.JLE(operand.LabelRef("done"))
	if fromI32 {
		c.VCVTDQ2PS(operand.Mem{Base: x}, v)
	} else {
		c.VMOVUPS(operand.Mem{Base: x}, v)
	}
	c.VMULPS(operand.Mem{Base: factors}, v, v)
	c.VMULPS(factor, v, v)
	c.VMOVUPS(v, operand.Mem{Base: dst})
	for _, p := range []reg.Register{dst, x, factors} {
		c.ADDQ(operand.Imm(32), p)
	}
	c.SUBQ(operand.Imm(8), n)
	c.JMP(operand.LabelRef("loop"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// param is where the caller left a parameter.
func param(c *build.Context, name string) operand.Mem {
	p, err := c.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}
