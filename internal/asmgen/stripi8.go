package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// stripI8 writes functions that compute a column of whole tiles and turn the sums, while they are still in
// registers, into numbers of another type, as package simd's stripI8 says. They exist for the largest
// tiles only; everything else goes through tileI8 and epilogueTile, with the same roundings.
func stripI8(c *build.Context) {
	constants := epilogueConstants(c)
	for _, to := range []string{"F32", "BF16", "Byte"} {
		strip512(c, constants, to, "AVX512VNNI", loopI8AVX512VNNI)
		strip512(c, constants, to, "AVX512", loopI8AVX512)
		for _, shape := range shapesAVXVNNI {
			strip256(c, constants, to, "AVXVNNI", shape, loopI8AVXVNNI)
		}
		for _, shape := range shapesAVX2 {
			strip256(c, constants, to, "AVX2", shape, loopI8AVX2)
		}
	}
}

// Fields of simd's stripI8, all of eight bytes, in order.
const (
	stripA = iota
	stripAStep
	stripATile
	stripW
	stripWStep
	stripStart
	stripTurns
	stripTiles
	stripScale
	stripOffset
	stripBias
	stripRowScale
	stripRowScaleTile
	stripRowOffset
	stripRowOffsetTile
	stripInverse
	stripInverseTile
	stripLimits
	stripActivation
	stripDst
	stripDstStep
	stripWords
)

// A strip is what stays in general registers while its tiles are computed.
type strip struct {
	c                                           *build.Context
	t                                           reg.GPVirtual // the fields
	a, rowScale, rowOffset, inverse, dst, tiles reg.GPVirtual // changing from tile to tile
	dstStep                                     reg.GPVirtual
	row                                         reg.GPVirtual // where a row of the tile goes
}

func beginStrip(c *build.Context, name string) *strip {
	function(c, name, fmt.Sprintf("func(s *[%d]uint64)", stripWords))
	s := &strip{c: c, t: c.GP64(), row: c.GP64()}
	c.Load(c.Param("s"), s.t)
	s.a, s.rowScale, s.rowOffset = s.field(stripA), s.field(stripRowScale), s.field(stripRowOffset)
	s.inverse, s.dst, s.tiles, s.dstStep = s.field(stripInverse), s.field(stripDst), s.field(stripTiles), s.field(stripDstStep)
	return s
}

// field loads a field into a new register.
func (s *strip) field(n int) reg.GPVirtual {
	r := s.c.GP64()
	s.c.MOVQ(s.word(n), r)
	return r
}

func (s *strip) word(n int) operand.Mem { return operand.Mem{Base: s.t, Disp: 8 * n} }

// tile loads what the loop of a tile needs.
func (s *strip) tile() tileWords {
	f := tileWords{a: s.c.GP64(), aStep: s.field(stripAStep), w: s.field(stripW), wStep: s.field(stripWStep), turns: s.field(stripTurns)}
	s.c.MOVQ(s.a, f.a)
	return f
}

// nextRow makes row the address of the next row of the output.
func (s *strip) nextRow() { s.c.ADDQ(s.dstStep, s.row) }

// end goes on by one tile, whose last row has been stored at row, or returns.
func (s *strip) end() {
	c := s.c
	c.LEAQ(operand.Mem{Base: s.row, Index: s.dstStep, Scale: 1}, s.dst)
	c.ADDQ(s.word(stripATile), s.a)
	c.ADDQ(s.word(stripRowScaleTile), s.rowScale)
	c.ADDQ(s.word(stripRowOffsetTile), s.rowOffset)
	c.ADDQ(s.word(stripInverseTile), s.inverse)
	c.DECQ(s.tiles)
	c.JNZ(operand.LabelRef("tile"))
	c.VZEROUPPER()
	c.RET()
}

// activate writes the ways that the activation of a tile may take.
func (s *strip) activate(relu, gelu func()) {
	c := s.c
	c.CMPQ(s.word(stripActivation), operand.Imm(1))
	c.JL(operand.LabelRef("convert"))
	c.JG(operand.LabelRef("gelu"))
	relu()
	c.JMP(operand.LabelRef("convert"))
	c.Label("gelu")
	gelu()
	c.Label("convert")
}

func strip512(c *build.Context, constants operand.Mem, to, level string, loop func(*build.Context, tileWords, []reg.VecVirtual, int, int)) {
	const rows, panels = 8, 3
	s := beginStrip(c, fmt.Sprintf("strip%sx%dx%d%s", to, rows, 16*panels, level))
	acc := make([]reg.VecVirtual, rows*panels)
	for i := range acc {
		acc[i] = c.ZMM()
	}
	c.Label("tile")
	start := s.field(stripStart)
	for j := range panels {
		c.VMOVDQU32(operand.Mem{Base: start, Disp: 64 * j}, acc[j])
		for r := 1; r < rows; r++ {
			c.VMOVDQA64(acc[j], acc[r*panels+j])
		}
	}
	loop(c, s.tile(), acc, rows, panels)

	scales, offsets, biases := s.field(stripScale), s.field(stripOffset), s.field(stripBias)
	scale, offset, bias := c.ZMM(), c.ZMM(), c.ZMM()
	for j := range panels {
		c.VMOVUPS(operand.Mem{Base: scales, Disp: 64 * j}, scale)
		c.VMOVUPS(operand.Mem{Base: offsets, Disp: 64 * j}, offset)
		c.VMOVUPS(operand.Mem{Base: biases, Disp: 64 * j}, bias)
		for r := range rows {
			y, inner := acc[r*panels+j], c.ZMM()
			c.VCVTDQ2PS(y, y)
			c.VMULPS(scale, y, y)
			c.VMOVAPS(bias, inner)
			c.VFMADD231PS_BCST(operand.Mem{Base: s.rowOffset, Disp: 4 * r}, offset, inner)
			c.VFMADD132PS_BCST(operand.Mem{Base: s.rowScale, Disp: 4 * r}, inner, y)
		}
	}
	zero := c.ZMM()
	c.VPXORD(zero, zero, zero)
	s.activate(func() {
		for _, y := range acc {
			c.VMAXPS(y, zero, y)
		}
	}, func() {
		for _, y := range acc {
			square, p := c.ZMM(), c.ZMM()
			c.VMULPS(y, y, square)
			c.VBROADCASTSS(constant(constants, len(gelu)-1), p)
			for i := len(gelu) - 2; i >= 0; i-- {
				c.VFMADD213PS_BCST(constant(constants, i), square, p)
			}
			c.VFMADD213PS_BCST(constant(constants, constHalf), y, p)
			c.VMAXPS(zero, p, p)
			c.VMINPS_BCST(constant(constants, constOne), p, p)
			c.VMULPS(p, y, y)
		}
	})
	convert := converter512(s, constants, to)
	c.MOVQ(s.dst, s.row)
	for r := range rows {
		convert(r, acc[r*panels:][:panels])
		if r+1 < rows {
			s.nextRow()
		}
	}
	s.end()
}

// converter512 prepares what a type needs and returns what converts and stores the three vectors of row r.
func converter512(s *strip, constants operand.Mem, to string) func(r int, y []reg.VecVirtual) {
	c := s.c
	switch to {
	case "F32":
		return func(_ int, y []reg.VecVirtual) {
			for j := range y {
				c.VMOVUPS(y[j], operand.Mem{Base: s.row, Disp: 64 * j})
			}
		}
	case "BF16":
		oddWords := c.ZMM()
		c.VMOVDQU32(constant(constants, constOddWords), oddWords)
		return func(_ int, y []reg.VecVirtual) {
			t := [3]reg.VecVirtual{c.ZMM(), c.ZMM(), c.ZMM()}
			for j := range y {
				roundTileBF16(c, constants, y[j], t[j], c.K())
			}
			c.VPERMT2W(t[1], oddWords, t[0])
			c.VMOVDQU32(t[0], operand.Mem{Base: s.row})
			c.VPSRLD(operand.Imm(16), t[2], t[2])
			c.VPMOVDW(t[2], operand.Mem{Base: s.row, Disp: 64})
		}
	}
	limits := s.field(stripLimits)
	zeroPoint, low, high := c.ZMM(), c.ZMM(), c.ZMM()
	for i, v := range []reg.VecVirtual{zeroPoint, low, high} {
		c.VBROADCASTSS(operand.Mem{Base: limits, Disp: 4 * i}, v)
	}
	return func(r int, y []reg.VecVirtual) {
		for j := range y {
			c.VFMADD132PS_BCST(operand.Mem{Base: s.inverse, Disp: 4 * r}, zeroPoint, y[j])
			c.VMAXPS(low, y[j], y[j])
			c.VMINPS(high, y[j], y[j])
			c.VCVTPS2DQ(y[j], y[j])
			c.VPMOVDB(y[j], operand.Mem{Base: s.row, Disp: 16 * j})
		}
	}
}

func strip256(c *build.Context, constants operand.Mem, to, level string, shape shape256, loop func(*build.Context, tileWords, shape256)) {
	s := beginStrip(c, fmt.Sprintf("strip%sx%dx%d%s", to, shape.rows, 16*shape.panels, level))
	t := [4]reg.VecPhysical{reg.Y12, reg.Y13, reg.Y14, reg.Y15}
	c.Label("tile")
	start := s.field(stripStart)
	for r := range shape.rows {
		for j := range shape.vectors() {
			c.VMOVDQU(operand.Mem{Base: start, Disp: 32 * j}, shape.sum(r, j))
		}
	}
	loop(c, s.tile(), shape)

	scales, offsets, biases := s.field(stripScale), s.field(stripOffset), s.field(stripBias)
	for r := range shape.rows {
		rowScale, rowOffset := t[0], t[1]
		c.VBROADCASTSS(operand.Mem{Base: s.rowScale, Disp: 4 * r}, rowScale)
		c.VBROADCASTSS(operand.Mem{Base: s.rowOffset, Disp: 4 * r}, rowOffset)
		for j := range shape.vectors() {
			y, inner := shape.sum(r, j), t[2+j%2]
			c.VCVTDQ2PS(y, y)
			c.VMULPS(operand.Mem{Base: scales, Disp: 32 * j}, y, y)
			c.VMOVUPS(operand.Mem{Base: biases, Disp: 32 * j}, inner)
			c.VFMADD231PS(operand.Mem{Base: offsets, Disp: 32 * j}, rowOffset, inner)
			c.VFMADD213PS(inner, rowScale, y)
		}
	}
	zero := t[0]
	c.VXORPS(zero, zero, zero)
	s.activate(func() {
		for i := range shape.rows * shape.vectors() {
			y := shape.sum(0, i)
			c.VMAXPS(y, zero, y)
		}
	}, func() {
		for i := range shape.rows * shape.vectors() {
			y, square, p := shape.sum(0, i), t[1], t[2+i%2]
			c.VMULPS(y, y, square)
			c.VMOVUPS(constant(constants, len(gelu)-1), p)
			for i := len(gelu) - 2; i >= 0; i-- {
				c.VFMADD213PS(constant(constants, i), square, p)
			}
			c.VFMADD213PS(constant(constants, constHalf), y, p)
			c.VMAXPS(zero, p, p)
			c.VMINPS(constant(constants, constOne), p, p)
			c.VMULPS(p, y, y)
		}
	})
	convert := converter256(s, constants, to, t)
	c.MOVQ(s.dst, s.row)
	for r := range shape.rows {
		for p := range shape.panels {
			convert(r, p, [2]vector{shape.sum(r, 2*p), shape.sum(r, 2*p+1)})
		}
		if r+1 < shape.rows {
			s.nextRow()
		}
	}
	s.end()
}

// converter256 prepares what a type needs and returns what converts and stores the two vectors of row r
// and panel p.
func converter256(s *strip, constants operand.Mem, to string, t [4]reg.VecPhysical) func(r, p int, y [2]vector) {
	c := s.c
	switch to {
	case "F32":
		return func(_, p int, y [2]vector) {
			for j := range y {
				c.VMOVUPS(y[j], operand.Mem{Base: s.row, Disp: 64*p + 32*j})
			}
		}
	case "BF16":
		return func(_, p int, y [2]vector) {
			storeBF16AVX2(c, constants, operand.Mem{Base: s.row, Disp: 32 * p}, y, [2]vector{t[0], t[1]})
		}
	}
	limits := s.field(stripLimits)
	inverse, zeroPoint, low, high := t[0], t[1], t[2], t[3]
	for i, v := range []reg.VecPhysical{zeroPoint, low, high} {
		c.VBROADCASTSS(operand.Mem{Base: limits, Disp: 4 * i}, v)
	}
	return func(r, p int, y [2]vector) {
		c.VBROADCASTSS(operand.Mem{Base: s.inverse, Disp: 4 * r}, inverse)
		for j := range y {
			c.VFMADD213PS(zeroPoint, inverse, y[j])
			c.VMAXPS(low, y[j], y[j])
			c.VMINPS(high, y[j], y[j])
			c.VCVTPS2DQ(y[j], y[j])
		}
		storeBytesAVX2(c, constants, operand.Mem{Base: s.row, Disp: 16 * p}, y, inverse)
	}
}
