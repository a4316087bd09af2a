package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// half writes the conversions and dot products of 16-bit floats. AVX-512's own instructions for
// bfloat16 flush denormals to zero, so integer ones are used.
func half(c *build.Context) {
	masks := tailMasks(c, "half")
	reduction{name: "dotF16", signature: "func(a, b *uint16, n int) float32", a: f16, b: f16, term: product}.write(c, masks)
	reduction{name: "dotBF16", signature: "func(a, b *uint16, n int) float32", a: bf16, b: bf16, term: product}.write(c, masks)
	reduction{name: "dotF16F32", signature: "func(a *uint16, b *float32, n int) float32", a: f16, term: product}.write(c, masks)

	// The last place, half of it less one bit, and the bit of a quiet NaN.
	bits := constants(c, "bfloat16", math.Float32frombits(1), math.Float32frombits(0x7fff), math.Float32frombits(0x40))
	for _, level := range []string{"AVX512", "AVX2"} {
		v := vectors{Context: c, level: level}
		widenAll(v, f16, "convertF16F32")
		widenAll(v, bf16, "convertBF16F32")
		narrowF16(v)
		narrowBF16(v, bits)
	}
}

func widenAll(v vectors, e element, name string) {
	function(v.Context, name+v.level, "func(dst *float32, src *uint16, n int)")
	dst, src, n := v.pointer("dst", 4), v.pointer("src", 2), v.count()
	v.each(n, []pointer{dst, src}, func(i int, mask reg.Register) {
		x := v.vector()
		if mask == nil {
			e.widen(v.Context, v.at(src, i), x)
		} else {
			e.widenMasked(v.Context, v.at(src, i), mask, x)
		}
		v.store(x, mask, v.at(dst, i))
	})
	v.end()
}

func narrowF16(v vectors) {
	function(v.Context, "convertF32F16"+v.level, "func(dst *uint16, src *float32, n int)")
	dst, src, n := v.pointer("dst", 2), v.pointer("src", 4), v.count()
	v.each(n, []pointer{dst, src}, func(i int, mask reg.Register) {
		const nearestEven = 0
		x := v.vector()
		v.load(v.at(src, i), mask, x)
		if mask == nil {
			v.VCVTPS2PH(operand.Imm(nearestEven), x, v.at(dst, i))
		} else {
			v.VCVTPS2PH(operand.Imm(nearestEven), x, mask, v.at(dst, i))
		}
	})
	v.end()
}

// narrowBF16 adds half a unit of the last place, less one bit if the last place is even, and takes the
// upper halves. That could make a NaN infinite, so those are done apart.
func narrowBF16(v vectors, bits []operand.Mem) {
	function(v.Context, "convertF32BF16"+v.level, "func(dst *uint16, src *float32, n int)")
	dst, src, n := v.pointer("dst", 2), v.pointer("src", 4), v.count()
	lastPlace, below, quiet := v.register(bits[0]), v.register(bits[1]), v.register(bits[2])
	v.each(n, []pointer{dst, src}, func(i int, mask reg.Register) {
		const unordered = 3
		x, y := v.vector(), v.vector()
		v.load(v.at(src, i), mask, x)
		v.VPSRLD(operand.Imm(16), x, y)
		if v.wide() {
			v.VPANDD(lastPlace, y, y)
		} else {
			v.VPAND(lastPlace, y, y)
		}
		v.VPADDD(below, y, y)
		v.VPADDD(x, y, y)
		v.VPSRLD(operand.Imm(16), y, y)
		if v.wide() {
			nan := v.K()
			v.VCMPPS(operand.Imm(unordered), x, x, nan)
			v.VPSRLD(operand.Imm(16), x, x)
			v.VPORD(quiet, x, nan, y)
			if mask == nil {
				v.VPMOVDW(y, v.at(dst, i))
			} else {
				v.VPMOVDW(y, mask, v.at(dst, i))
			}
			return
		}
		nan, upper := v.vector(), v.XMM()
		v.VCMPPS(operand.Imm(unordered), x, x, nan)
		v.VPSRLD(operand.Imm(16), x, x)
		v.VPOR(quiet, x, x)
		v.VPBLENDVB(nan, x, y, y)
		v.VEXTRACTI128(operand.Imm(1), y, upper)
		v.VPACKUSDW(upper, y.AsX(), y.AsX())
		v.VMOVDQU(y.AsX(), v.at(dst, i))
	})
	v.end()
}
