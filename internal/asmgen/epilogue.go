package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// epilogue writes what turns a tile of int32 sums into numbers of another type, as package simd's
// epilogueTile says. All versions make the same roundings as the one in plain Go.
func epilogue(c *build.Context) {
	constants := epilogueConstants(c)
	for _, to := range []string{"F32", "BF16", "Byte"} {
		for _, panels := range []int{3, 2, 1} {
			epilogueAVX512(c, constants, to, panels)
		}
		epilogueAVX2(c, constants, to)
	}
}

// gelu are the coefficients of simd's geluCoefficients.
var gelu = [9]float32{
	0.39876186, -0.06607691, 0.009643338, -0.0010550887, 8.430932e-05,
	-4.726461e-06, 1.7417411e-07, -3.7567254e-09, 3.572741e-11,
}

// epilogueConstants makes a table of vectors of eight equal numbers: gelu, then 0.5, 1, and the integers
// that rounding to bfloat16 and storing bytes take, and at the end the places of the odd words of two vectors
// of 512 bits.
func epilogueConstants(c *build.Context) operand.Mem {
	words := make([]uint32, 0, 16)
	for _, v := range append(gelu[:], 0.5, 1) {
		words = append(words, math.Float32bits(v))
	}
	words = append(words, 1, 0x7fff, 0x400000, 0x00ff00ff)
	table := c.StaticGlobal("epilogueConstants")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, w := range words {
		for lane := range 8 {
			c.AddDatum(32*i+4*lane, operand.U32(w))
		}
	}
	for pair := range 16 {
		c.AddDatum(32*len(words)+4*pair, operand.U32(4*pair+1|(4*pair+3)<<16))
	}
	return table
}

// Places in the table of constants.
const (
	constHalf = iota + len(gelu)
	constOne
	constBit
	constBelowHalf
	constQuiet
	constLowBytes
	constOddWords
)

func constant(table operand.Mem, i int) operand.Mem { return table.Offset(32 * i) }

// epilogueWords are the fields of simd's epilogueTile, all of eight bytes, in order. Those of the columns
// are read first, to have registers for the others.
type epilogueWords struct {
	t reg.GPVirtual

	lastColumns, scale, offset, bias reg.GPVirtual

	sums, sumsStep, rows                             reg.GPVirtual
	rowScale, rowScaleStep, rowOffset, rowOffsetStep reg.GPVirtual
	inverse, inverseStep, limits                     reg.GPVirtual
	activation, dst, dstStep                         reg.GPVirtual
}

func loadColumns(c *build.Context) *epilogueWords {
	f := &epilogueWords{t: c.GP64()}
	c.Load(c.Param("t"), f.t)
	f.load(c, 0, &f.lastColumns, &f.scale, &f.offset, &f.bias)
	return f
}

func (f *epilogueWords) loadRows(c *build.Context) {
	f.load(c, 4, &f.sums, &f.sumsStep, &f.rows, &f.rowScale, &f.rowScaleStep, &f.rowOffset, &f.rowOffsetStep,
		&f.inverse, &f.inverseStep, &f.limits, &f.activation, &f.dst, &f.dstStep)
}

func (f *epilogueWords) load(c *build.Context, first int, to ...*reg.GPVirtual) {
	for i, r := range to {
		*r = c.GP64()
		c.MOVQ(operand.Mem{Base: f.t, Disp: 8 * (first + i)}, *r)
	}
}

// nextRow goes on by one row, or leaves the loop.
func (f *epilogueWords) nextRow(c *build.Context) {
	c.ADDQ(f.sumsStep, f.sums)
	c.ADDQ(f.rowScaleStep, f.rowScale)
	c.ADDQ(f.rowOffsetStep, f.rowOffset)
	c.ADDQ(f.inverseStep, f.inverse)
	c.ADDQ(f.dstStep, f.dst)
	c.DECQ(f.rows)
	c.JNZ(operand.LabelRef("row"))
}

// activate writes the ways that the activation of a row's vectors y may take.
func (f *epilogueWords) activate(c *build.Context, relu, gelu func()) {
	c.CMPQ(f.activation, operand.Imm(1))
	c.JL(operand.LabelRef("store"))
	c.JG(operand.LabelRef("gelu"))
	relu()
	c.JMP(operand.LabelRef("store"))
	c.Label("gelu")
	gelu()
	c.Label("store")
}

func epilogueAVX512(c *build.Context, constants operand.Mem, to string, panels int) {
	function(c, fmt.Sprintf("epilogue%sx%dAVX512", to, 16*panels), "func(t *[17]uint64)")
	f := loadColumns(c)
	// Bit i of the last panel's mask stands for its column i.
	bits, last := c.GP64(), c.K()
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(f.lastColumns, bits, bits)
	c.KMOVW(bits.As32(), last)
	load := func(from reg.GPVirtual, j int) reg.VecVirtual {
		v := c.ZMM()
		if m := (operand.Mem{Base: from, Disp: 64 * j}); j == panels-1 {
			c.VMOVUPS_Z(m, last, v)
		} else {
			c.VMOVUPS(m, v)
		}
		return v
	}
	var scale, offset, bias, y, sum [3]reg.VecVirtual
	for j := range panels {
		scale[j], offset[j], bias[j] = load(f.scale, j), load(f.offset, j), load(f.bias, j)
		y[j], sum[j] = c.ZMM(), c.ZMM()
	}
	f.loadRows(c)
	zero := c.ZMM()
	c.VPXORD(zero, zero, zero)
	one, half := c.ZMM(), c.ZMM()
	c.VBROADCASTSS(constant(constants, constOne), one)
	c.VBROADCASTSS(constant(constants, constHalf), half)
	rowScale, rowOffset := c.ZMM(), c.ZMM()
	finish := storerAVX512(c, f, constants, to)

	c.Label("row")
	c.VBROADCASTSS(operand.Mem{Base: f.rowScale}, rowScale)
	c.VBROADCASTSS(operand.Mem{Base: f.rowOffset}, rowOffset)
	for j := range panels {
		c.VCVTDQ2PS(operand.Mem{Base: f.sums, Disp: 64 * j}, sum[j])
		c.VMULPS(scale[j], sum[j], sum[j])
		c.VMOVAPS(bias[j], y[j])
		c.VFMADD231PS(rowOffset, offset[j], y[j])
		c.VFMADD231PS(rowScale, sum[j], y[j])
	}
	f.activate(c, func() {
		for j := range panels {
			c.VMAXPS(y[j], zero, y[j])
		}
	}, func() {
		geluAVX512(c, constants, y[:panels], zero, half, one)
	})
	for j := range panels {
		var mask reg.Register
		if j == panels-1 {
			mask = last
		}
		finish(j, y[j], mask)
	}
	f.nextRow(c)
	c.VZEROUPPER()
	c.RET()
}

// geluAVX512 writes the activation of the vectors y.
func geluAVX512(c *build.Context, constants operand.Mem, y []reg.VecVirtual, zero, half, one reg.VecVirtual) {
	square, p := make([]reg.VecVirtual, len(y)), make([]reg.VecVirtual, len(y))
	for j := range y {
		square[j], p[j] = c.ZMM(), c.ZMM()
		c.VMULPS(y[j], y[j], square[j])
		c.VBROADCASTSS(constant(constants, len(gelu)-1), p[j])
	}
	for i := len(gelu) - 2; i >= 0; i-- {
		for j := range y {
			c.VFMADD213PS_BCST(constant(constants, i), square[j], p[j])
		}
	}
	for j := range y {
		c.VFMADD213PS(half, y[j], p[j])
		c.VMAXPS(zero, p[j], p[j])
		c.VMINPS(one, p[j], p[j])
		c.VMULPS(p[j], y[j], y[j])
	}
}

// storerAVX512 prepares what the stores of a type need and returns what converts and stores panel j of a
// row, all of it if mask is nil.
func storerAVX512(c *build.Context, f *epilogueWords, constants operand.Mem, to string) func(j int, y reg.VecVirtual, mask reg.Register) {
	t := c.ZMM()
	switch to {
	case "F32":
		return func(j int, y reg.VecVirtual, mask reg.Register) {
			m := operand.Mem{Base: f.dst, Disp: 64 * j}
			if mask == nil {
				c.VMOVUPS(y, m)
				return
			}
			c.VMOVUPS(y, mask, m)
		}
	case "BF16":
		nan := c.K()
		return func(j int, y reg.VecVirtual, mask reg.Register) {
			roundTileBF16(c, constants, y, t, nan)
			c.VPSRLD(operand.Imm(16), t, t)
			m := operand.Mem{Base: f.dst, Disp: 32 * j}
			if mask == nil {
				c.VPMOVDW(t, m)
				return
			}
			c.VPMOVDW(t, mask, m)
		}
	}
	zeroPoint, low, high := c.ZMM(), c.ZMM(), c.ZMM()
	for i, v := range []reg.VecVirtual{zeroPoint, low, high} {
		c.VBROADCASTSS(operand.Mem{Base: f.limits, Disp: 4 * i}, v)
	}
	return func(j int, y reg.VecVirtual, mask reg.Register) {
		c.VBROADCASTSS(operand.Mem{Base: f.inverse}, t)
		c.VFMADD213PS(zeroPoint, y, t)
		c.VMAXPS(low, t, t)
		c.VMINPS(high, t, t)
		c.VCVTPS2DQ(t, t)
		m := operand.Mem{Base: f.dst, Disp: 16 * j}
		if mask == nil {
			c.VPMOVDB(t, m)
			return
		}
		c.VPMOVDB(t, mask, m)
	}
}

// roundTileBF16 leaves y rounded to bfloat16, to the nearest, ties to even, in the upper halves of t. A NaN
// keeps its upper bits and becomes quiet.
func roundTileBF16(c *build.Context, constants operand.Mem, y, t reg.VecVirtual, nan reg.Register) {
	c.VCMPPS(operand.Imm(3), y, y, nan)
	c.VPSRLD(operand.Imm(16), y, t)
	c.VPANDD_BCST(constant(constants, constBit), t, t)
	c.VPADDD_BCST(constant(constants, constBelowHalf), t, t)
	c.VPADDD(t, y, t)
	c.VPORD_BCST(constant(constants, constQuiet), y, nan, t)
}

// epilogueAVX2 writes an epilogue of one whole panel.
func epilogueAVX2(c *build.Context, constants operand.Mem, to string) {
	function(c, fmt.Sprintf("epilogue%sx16AVX2", to), "func(t *[17]uint64)")
	f := loadColumns(c)
	var scale, offset, y [2]reg.VecVirtual
	for j := range y {
		scale[j], offset[j], y[j] = c.YMM(), c.YMM(), c.YMM()
		c.VMOVUPS(operand.Mem{Base: f.scale, Disp: 32 * j}, scale[j])
		c.VMOVUPS(operand.Mem{Base: f.offset, Disp: 32 * j}, offset[j])
	}
	f.loadRows(c)
	zero, sum := c.YMM(), c.YMM()
	c.VXORPS(zero, zero, zero)
	rowScale, rowOffset := c.YMM(), c.YMM()
	square, p := [2]reg.VecVirtual{c.YMM(), c.YMM()}, [2]reg.VecVirtual{c.YMM(), c.YMM()}

	c.Label("row")
	c.VBROADCASTSS(operand.Mem{Base: f.rowScale}, rowScale)
	c.VBROADCASTSS(operand.Mem{Base: f.rowOffset}, rowOffset)
	for j := range y {
		c.VCVTDQ2PS(operand.Mem{Base: f.sums, Disp: 32 * j}, sum)
		c.VMULPS(scale[j], sum, sum)
		c.VMOVUPS(operand.Mem{Base: f.bias, Disp: 32 * j}, y[j])
		c.VFMADD231PS(rowOffset, offset[j], y[j])
		c.VFMADD231PS(rowScale, sum, y[j])
	}
	f.activate(c, func() {
		for j := range y {
			c.VMAXPS(y[j], zero, y[j])
		}
	}, func() {
		for j := range y {
			c.VMULPS(y[j], y[j], square[j])
			c.VMOVUPS(constant(constants, len(gelu)-1), p[j])
		}
		for i := len(gelu) - 2; i >= 0; i-- {
			for j := range y {
				c.VFMADD213PS(constant(constants, i), square[j], p[j])
			}
		}
		for j := range y {
			c.VFMADD213PS(constant(constants, constHalf), y[j], p[j])
			c.VMAXPS(zero, p[j], p[j])
			c.VMINPS(constant(constants, constOne), p[j], p[j])
			c.VMULPS(p[j], y[j], y[j])
		}
	})
	storeAVX2(c, f, constants, to, [2]vector{y[0], y[1]}, [2]vector{square[0], square[1]})
	f.nextRow(c)
	c.VZEROUPPER()
	c.RET()
}

// A vector is a vector register, virtual or not.
type vector interface {
	reg.Register
	reg.Vec
}

// storeAVX2 converts and stores the two vectors of a row; t is for its use.
func storeAVX2(c *build.Context, f *epilogueWords, constants operand.Mem, to string, y, t [2]vector) {
	switch to {
	case "F32":
		for j := range y {
			c.VMOVUPS(y[j], operand.Mem{Base: f.dst, Disp: 32 * j})
		}
	case "BF16":
		storeBF16AVX2(c, constants, operand.Mem{Base: f.dst}, y, t)
	default:
		inverse, limit := t[0], t[1]
		c.VBROADCASTSS(operand.Mem{Base: f.inverse}, inverse)
		for j := range y {
			c.VBROADCASTSS(operand.Mem{Base: f.limits}, limit)
			c.VFMADD213PS(limit, inverse, y[j])
			c.VBROADCASTSS(operand.Mem{Base: f.limits, Disp: 4}, limit)
			c.VMAXPS(limit, y[j], y[j])
			c.VBROADCASTSS(operand.Mem{Base: f.limits, Disp: 8}, limit)
			c.VMINPS(limit, y[j], y[j])
			c.VCVTPS2DQ(y[j], y[j])
		}
		storeBytesAVX2(c, constants, operand.Mem{Base: f.dst}, y, limit)
	}
}

// storeBF16AVX2 rounds as roundTileBF16 does.
func storeBF16AVX2(c *build.Context, constants, dst operand.Mem, y, t [2]vector) {
	rounded, nan := t[0], t[1]
	for j := range y {
		c.VPSRLD(operand.Imm(16), y[j], rounded)
		c.VPAND(constant(constants, constBit), rounded, rounded)
		c.VPADDD(constant(constants, constBelowHalf), rounded, rounded)
		c.VPADDD(rounded, y[j], rounded)
		c.VCMPPS(operand.Imm(3), y[j], y[j], nan)
		c.VPOR(constant(constants, constQuiet), y[j], y[j])
		c.VBLENDVPS(nan, y[j], rounded, y[j])
		c.VPSRLD(operand.Imm(16), y[j], y[j])
	}
	c.VPACKUSDW(y[1], y[0], y[0])
	c.VPERMQ(operand.Imm(0xd8), y[0], y[0])
	c.VMOVDQU(y[0], dst)
}

// storeBytesAVX2 stores the lower byte of each number, signed or not.
func storeBytesAVX2(c *build.Context, constants, dst operand.Mem, y [2]vector, t vector) {
	c.VPACKSSDW(y[1], y[0], y[0])
	c.VPERMQ(operand.Imm(0xd8), y[0], y[0])
	c.VPAND(constant(constants, constLowBytes), y[0], y[0])
	upper := t.AsX()
	c.VEXTRACTI128(operand.Imm(1), y[0], upper)
	c.VPACKUSWB(upper, y[0].AsX(), upper)
	c.VMOVDQU(upper, dst)
}
