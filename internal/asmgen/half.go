package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// half writes the conversions and dot products of 16-bit floats. AVX-512's own instructions for
// bfloat16 flush denormals to zero, so integer ones are used.
func half(c *build.Context) {
	masks := tailMasks(c, "half")
	words := bf16Constants(c)
	for _, r := range []reduction{
		{name: "dotF16", signature: "func(a, b *uint16, n int) float32", a: f16, b: f16, term: product},
		{name: "dotBF16", signature: "func(a, b *uint16, n int) float32", a: bf16, b: bf16, term: product},
		{name: "dotF16F32", signature: "func(a *uint16, b *float32, n int) float32", a: f16, term: product},
	} {
		r.avx512(c)
		r.avx2(c, masks)
	}
	for _, e := range []element{f16, bf16} {
		widen512(c, e)
		widen256(c, e)
	}
	narrow512(c, f16, nil)
	narrow256(c, f16, nil)
	narrow512(c, bf16, words)
	narrow256(c, bf16, words)
}

const (
	widening  = "func(dst *float32, src *uint16, n int)"
	narrowing = "func(dst *uint16, src *float32, n int)"
)

var elementNames = map[element]string{f16: "F16", bf16: "BF16"}

func widen512(c *build.Context, e element) {
	function(c, "convert"+elementNames[e]+"F32AVX512", widening)
	dst, src := loadPointer(c, "dst", 4), loadPointer(c, "src", 2)
	n := c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	each512(c, n, []pointer{dst, src}, func(i int, k reg.Register) {
		x := c.ZMM()
		if k == nil {
			e.widen(c, src.at(i, 16), x)
			c.VMOVUPS(x, dst.at(i, 16))
		} else {
			e.widenMasked(c, src.at(i, 16), k, x)
			c.VMOVUPS(x, k, dst.at(i, 16))
		}
	})
}

func widen256(c *build.Context, e element) {
	function(c, "convert"+elementNames[e]+"F32AVX2", widening)
	dst, src := loadPointer(c, "dst", 4), loadPointer(c, "src", 2)
	n := c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	each256(c, n, []pointer{dst, src}, func(i int) {
		x := c.YMM()
		e.widen(c, src.at(i, 8), x)
		c.VMOVUPS(x, dst.at(i, 8))
	})
	c.VZEROUPPER()
	c.RET()
}

// narrow512 rounds to nearest, ties to even.
func narrow512(c *build.Context, e element, constants []operand.Mem) {
	function(c, "convertF32"+elementNames[e]+"AVX512", narrowing)
	dst, src := loadPointer(c, "dst", 2), loadPointer(c, "src", 4)
	n := c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	words := broadcastAll(c, constants, c.ZMM)
	each512(c, n, []pointer{dst, src}, func(i int, k reg.Register) {
		x := c.ZMM()
		if k == nil {
			c.VMOVUPS(src.at(i, 16), x)
		} else {
			c.VMOVUPS_Z(src.at(i, 16), k, x)
		}
		to := []operand.Op{dst.at(i, 16)}
		if k != nil {
			to = []operand.Op{k, dst.at(i, 16)}
		}
		if e == f16 {
			c.VCVTPS2PH(append([]operand.Op{operand.Imm(0), x}, to...)...)
			return
		}
		y, nan := c.ZMM(), c.K()
		c.VCMPPS(operand.Imm(3), x, x, nan)
		roundBF16(c, x, y, words, func(a, b, to reg.VecVirtual) { c.VPANDD(a, b, to) })
		c.VPSRLD(operand.Imm(16), x, x)
		c.VPORD(words[2], x, nan, y)
		c.VPMOVDW(append([]operand.Op{y}, to...)...)
	})
}

func narrow256(c *build.Context, e element, constants []operand.Mem) {
	function(c, "convertF32"+elementNames[e]+"AVX2", narrowing)
	dst, src := loadPointer(c, "dst", 2), loadPointer(c, "src", 4)
	n := c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	words := broadcastAll(c, constants, c.YMM)
	each256(c, n, []pointer{dst, src}, func(i int) {
		x := c.YMM()
		c.VMOVUPS(src.at(i, 8), x)
		if e == f16 {
			c.VCVTPS2PH(operand.Imm(0), x, dst.at(i, 8))
			return
		}
		y, nan := c.YMM(), c.YMM()
		c.VCMPPS(operand.Imm(3), x, x, nan)
		roundBF16(c, x, y, words, func(a, b, to reg.VecVirtual) { c.VPAND(a, b, to) })
		c.VPSRLD(operand.Imm(16), x, x)
		c.VPOR(words[2], x, x)
		c.VPBLENDVB(nan, x, y, y)
		upper := c.XMM()
		c.VEXTRACTI128(operand.Imm(1), y, upper)
		c.VPACKUSDW(upper, y.AsX(), y.AsX())
		c.VMOVDQU(y.AsX(), dst.at(i, 8))
	})
	c.VZEROUPPER()
	c.RET()
}

// roundBF16 leaves in y the upper halves of x, rounded: half a unit of the last place is added, less
// one bit if the last place is even.
func roundBF16(c *build.Context, x, y reg.VecVirtual, words []reg.VecVirtual, and func(a, b, to reg.VecVirtual)) {
	c.VPSRLD(operand.Imm(16), x, y)
	and(words[0], y, y)
	c.VPADDD(words[1], y, y)
	c.VPADDD(x, y, y)
	c.VPSRLD(operand.Imm(16), y, y)
}

// bf16Constants are the last place, half of it less one bit, and the bit of a quiet NaN.
func bf16Constants(c *build.Context) []operand.Mem {
	return constants(c, "bfloat16", math.Float32frombits(1), math.Float32frombits(0x7fff), math.Float32frombits(0x40))
}

// constants writes float32 values as data and returns where each stands.
func constants(c *build.Context, name string, values ...float32) []operand.Mem {
	data := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	places := make([]operand.Mem, len(values))
	for i, v := range values {
		c.AddDatum(i*4, operand.U32(math.Float32bits(v)))
		places[i] = data.Offset(i * 4)
	}
	return places
}

// broadcastAll loads each constant into all lanes of a register.
func broadcastAll(c *build.Context, constants []operand.Mem, vector func() reg.VecVirtual) []reg.VecVirtual {
	registers := make([]reg.VecVirtual, len(constants))
	for i, place := range constants {
		registers[i] = vector()
		c.VBROADCASTSS(place, registers[i])
	}
	return registers
}
