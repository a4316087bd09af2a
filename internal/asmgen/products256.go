package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// encoderProducts256 writes the matrix products of an encoder for vectors of 256 bits. Each function
// computes one panel of sixteen columns for all blocks of four rows that it is given, one at a time, and
// makes of the sums what package quant's product says; it fetches nothing ahead.
func encoderProducts256(c *build.Context) {
	data := c.StaticGlobal("products256")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 4 {
		c.AddDatum(8*i, operand.U64([]uint64{0x0d0905010c080400, 0x0f0b07030e0a0602}[i%2]))
	}
	for i := range 4 {
		c.AddDatum(offsetSixteen+8*i, operand.U64(0x1010101010101010))
	}
	for i := range 4 {
		c.AddDatum(offsetEvenBytes+8*i, operand.U64(0x00ff00ff00ff00ff))
	}
	panel256(c, data, "AVXVNNI", (*strip16).multiplyAVXVNNI)
	panel256(c, data, "AVX2", (*strip16).multiplyAVX2)
	innerBytes256(c)
	sums256(c, data, "AVXVNNI", (*strip16).multiplyAVXVNNI)
	sums256(c, data, "AVX2", (*strip16).multiplyAVX2)
}

// Constants of these functions, behind what transposes bytes.
const (
	offsetSixteen   = 32
	offsetEvenBytes = 64
)

// A strip16 is a panel of sixteen columns whose blocks are computed. Row r has its sums in the registers
// 2r and 2r+1.
type strip16 struct {
	*panelStrip
	data operand.Mem
}

var ymm = []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
	reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}

func panel256(c *build.Context, data operand.Mem, level string, multiply func(s *strip16, f tileWords)) {
	function(c, "product16"+level, fmt.Sprintf("func(p *[%d]uint64)", productWords))
	s := &strip16{&panelStrip{c: c, panels: 1, p: c.GP64()}, data}
	c.Load(c.Param("p"), s.p)
	c.Label("block")
	for _, sum := range ymm[:8] {
		c.VPXOR(sum, sum, sum)
	}
	f := tileWords{a: s.field(productA), w: s.field(productW), turns: s.field(productTurns)}
	c.Label("loop")
	multiply(s, f)
	f.next(c, 16)
	s.scale()
	s.convert()
	c.Label("next")
	s.nextBlock()
	c.JNZ(operand.LabelRef("block"))
	c.VZEROUPPER()
	c.RET()
}

func (s *strip16) constant(offset int) operand.Mem {
	m := s.data
	m.Disp += offset
	return m
}

// nextBlock goes on by one block; flags say whether there is one.
func (s *strip16) nextBlock() {
	c := s.c
	step := s.field(productAStep)
	c.ADDQ(step, s.word(productA))
	c.MOVQ(s.word(productDstStep), step)
	c.ADDQ(step, s.word(productDst))
	c.ADDQ(operand.Imm(4*4), s.word(productRowScale))
	c.ADDQ(operand.Imm(4*4), s.word(productRowLow))
	c.ADDQ(operand.Imm(8), s.word(productPlaces))
	c.SUBQ(operand.I8(-128), s.word(productGreatest))
	c.DECQ(s.word(productBlocks))
}

// multiplyAVXVNNI writes one turn of the loop.
func (s *strip16) multiplyAVXVNNI(f tileWords) {
	c := s.c
	w, x := ymm[8:10], ymm[10:14]
	for u := range unrolled {
		s.step(f, u)
		for j := range w {
			c.VMOVDQU(s.columns(f, u, j), w[j])
		}
		for r := range 4 {
			c.VPBROADCASTD(f.block(0, 16*u+4*r), x[r])
			for j := range w {
				c.VPDPBUSD(w[j], x[r], ymm[2*r+j])
			}
		}
	}
}

// multiplyAVX2 widens both sides to 16 bits, even bytes and odd ones apart, so that nothing saturates.
func (s *strip16) multiplyAVX2(f tileWords) {
	c := s.c
	even, odd := ymm[8:10], ymm[10:12]
	x, y, product := ymm[12], ymm[13], ymm[14:16]
	for u := range unrolled {
		s.step(f, u)
		for j := range even {
			c.VMOVDQU(s.columns(f, u, j), odd[j])
			c.VPSLLW(operand.Imm(8), odd[j], even[j])
			c.VPSRAW(operand.Imm(8), even[j], even[j])
			c.VPSRAW(operand.Imm(8), odd[j], odd[j])
		}
		for r := range 4 {
			c.VPBROADCASTD(f.block(0, 16*u+4*r), x)
			c.VPSRLW(operand.Imm(8), x, y)
			c.VPAND(s.constant(offsetEvenBytes), x, x)
			for j := range even {
				sum := ymm[2*r+j]
				c.VPMADDWD(even[j], x, product[0])
				c.VPMADDWD(odd[j], y, product[1])
				c.VPADDD(product[0], sum, sum)
				c.VPADDD(product[1], sum, sum)
			}
		}
	}
}

// scale makes reals of sums, with or without an offset.
func (s *strip16) scale() {
	c := s.c
	scales, offsets, biases := s.field(productScale), s.field(productOffset), s.field(productBias)
	rowScale, rowLow := s.field(productRowScale), s.field(productRowLow)
	scale, offset, bias, inner, row := ymm[8], ymm[9], ymm[10], ymm[11], ymm[12]
	begin := func(j int) {
		c.VMOVUPS(operand.Mem{Base: scales, Disp: 32 * j}, scale)
		c.VMOVUPS(operand.Mem{Base: biases, Disp: 32 * j}, bias)
	}
	c.TESTQ(offsets, offsets)
	c.JZ(operand.LabelRef("plain"))
	for j := range 2 {
		begin(j)
		c.VMOVUPS(operand.Mem{Base: offsets, Disp: 32 * j}, offset)
		for r := range 4 {
			y := ymm[2*r+j]
			c.VCVTDQ2PS(y, y)
			c.VMULPS(scale, y, y)
			c.VMOVAPS(bias, inner)
			c.VBROADCASTSS(operand.Mem{Base: rowLow, Disp: 4 * r}, row)
			c.VFMADD231PS(row, offset, inner)
			c.VBROADCASTSS(operand.Mem{Base: rowScale, Disp: 4 * r}, row)
			c.VFMADD213PS(inner, row, y)
		}
	}
	c.JMP(operand.LabelRef("scaled"))
	c.Label("plain")
	for j := range 2 {
		begin(j)
		for r := range 4 {
			y := ymm[2*r+j]
			c.VCVTDQ2PS(y, y)
			c.VMULPS(scale, y, y)
			c.VBROADCASTSS(operand.Mem{Base: rowScale, Disp: 4 * r}, row)
			c.VFMADD213PS(bias, row, y)
		}
	}
	c.Label("scaled")
}

// convert makes of reals what the kind says, and stores it.
func (s *strip16) convert() {
	c := s.c
	kind := s.field(productKind)
	c.CMPQ(kind, operand.Imm(toState))
	c.JEQ(operand.LabelRef("state"))
	for _, y := range ymm[:8] {
		c.VCVTPS2DQ(y, y)
	}
	for _, r := range []int{0, 2} {
		for j := range 2 {
			c.VPACKSSDW(ymm[2*r+2+j], ymm[2*r+j], ymm[2*r+j])
		}
	}
	c.CMPQ(kind, operand.Imm(toValues))
	c.JEQ(operand.LabelRef("values"))
	c.JG(operand.LabelRef("inner"))
	c.CMPQ(kind, operand.Imm(toKeys))
	c.JEQ(operand.LabelRef("keys"))
	s.storeBytes(toQueries)
	c.JMP(operand.LabelRef("next"))
	c.Label("keys")
	s.storeBytes(toKeys)
	c.JMP(operand.LabelRef("next"))
	c.Label("values")
	s.storeBytes(toValues)
	c.JMP(operand.LabelRef("next"))
	c.Label("state")
	dst := s.field(productDst)
	for r := range 4 {
		for j := range 2 {
			to, y := operand.Mem{Base: dst, Disp: 64*r + 32*j}, ymm[2*r+j]
			c.VADDPS(to, y, y)
			c.VMOVUPS(y, to)
		}
	}
	c.JMP(operand.LabelRef("next"))
	c.Label("inner")
	s.storeInner()
}

// storeBytes stores four rows by sixteen columns as panelStrip's does, of words in the registers 0, 1 (rows
// 0 and 1), 4 and 5: packing puts four columns of all rows together.
func (s *strip16) storeBytes(kind int) {
	c := s.c
	dst := s.field(productDst)
	if kind != toQueries {
		places := s.field(productPlaces)
		c.ADDQ(operand.Mem{Base: places}, dst)
	}
	for j, y := range ymm[:2] {
		rest := ymm[4+j]
		switch kind {
		case toQueries:
			c.VPACKUSWB(rest, y, y)
			c.VMOVDQU(y, operand.Mem{Base: dst, Disp: 32 * j})
		case toKeys:
			c.VPACKSSWB(rest, y, y)
			c.VMOVDQU(y.AsX(), operand.Mem{Base: dst, Disp: 128 * j})
			c.VEXTRACTI128(operand.Imm(1), y, operand.Mem{Base: dst, Disp: 128*j + 64})
		case toValues:
			c.VPACKSSWB(rest, y, y)
			c.VPSHUFB(s.constant(0), y, y)
			c.VMOVDQU(y, operand.Mem{Base: dst, Disp: 32 * j})
		}
	}
}

// storeInner makes the values of the activation and notes the greatest of each row. What they lack comes
// from a table of 128 bytes, as in geluI16AVX2: sixteen of them at a time, each xored with the one before.
func (s *strip16) storeInner() {
	c := s.c
	words := []reg.VecPhysical{ymm[0], ymm[1], ymm[4], ymm[5]}
	index, lack := []reg.VecPhysical{ymm[2], ymm[3]}, []reg.VecPhysical{ymm[6], ymm[7]}
	zero, sixteen, entries, before, found, other := ymm[8], ymm[9], ymm[10], ymm[11], ymm[12], ymm[13]
	c.VPXOR(zero, zero, zero)
	c.VMOVDQU(s.constant(offsetSixteen), sixteen)
	for i := range index {
		s.magnitude(words[2*i], zero, index[i])
		s.magnitude(words[2*i+1], zero, other)
		c.VPACKSSWB(other, index[i], index[i])
		c.VPXOR(lack[i], lack[i], lack[i])
	}
	table := s.field(productTable)
	c.VPXOR(before, before, before)
	for e := range 8 {
		c.VBROADCASTI128(operand.Mem{Base: table, Disp: 16 * e}, entries)
		c.VPXOR(entries, before, before)
		for i := range index {
			c.VPSHUFB(index[i], before, found)
			c.VPXOR(found, lack[i], lack[i])
			if e < 7 {
				c.VPSUBB(sixteen, index[i], index[i])
			}
		}
		c.VMOVDQA(entries, before)
	}
	dst, greatest := s.field(productDst), s.field(productGreatest)
	for i, x := range words {
		if i%2 == 0 {
			c.VPUNPCKLBW(zero, lack[i/2], other)
		} else {
			c.VPUNPCKHBW(zero, lack[i/2], other)
		}
		c.VPMAXSW(zero, x, x)
		c.VPADDSW(other, x, x)
		c.VMOVDQU(x, operand.Mem{Base: dst, Disp: 32 * i})
		c.VPMAXSW(operand.Mem{Base: greatest, Disp: 32 * i}, x, x)
		c.VMOVDQU(x, operand.Mem{Base: greatest, Disp: 32 * i})
	}
}

// innerBytes256 makes bytes of quanta, in their place: packing puts four columns of all rows together.
func innerBytes256(c *build.Context) {
	function(c, "innerBytesAVX2", "func(inner *int16, factors *[4]int32, columns int)")
	src, dst := c.Load(c.Param("inner"), c.GP64()), c.GP64()
	factors, n := c.Load(c.Param("factors"), c.GP64()), c.Load(c.Param("columns"), c.GP64())
	c.MOVQ(src, dst)
	// Four words of a row and four of the next one.
	var factor [2]reg.VecVirtual
	for i := range factor {
		odd := c.YMM()
		factor[i] = c.YMM()
		c.VPBROADCASTW(operand.Mem{Base: factors, Disp: 8 * i}, factor[i])
		c.VPBROADCASTW(operand.Mem{Base: factors, Disp: 8*i + 4}, odd)
		c.VPUNPCKLQDQ(odd, factor[i], factor[i])
	}
	c.Label("columns")
	x := [4]reg.VecVirtual{c.YMM(), c.YMM(), c.YMM(), c.YMM()}
	for i := range x {
		c.VPMULHRSW(operand.Mem{Base: src, Disp: 32 * i}, factor[i/2], x[i])
	}
	for j := range 2 {
		c.VPACKUSWB(x[2+j], x[j], x[j])
		c.VMOVDQU(x[j], operand.Mem{Base: dst, Disp: 32 * j})
	}
	c.SUBQ(operand.I8(-128), src)
	c.ADDQ(operand.I8(64), dst)
	c.SUBQ(operand.I8(16), n)
	c.JNZ(operand.LabelRef("columns"))
	c.VZEROUPPER()
	c.RET()
}

// columns is the address of half of the weights of step u of a turn.
func (s *strip16) columns(f tileWords, u, half int) operand.Mem {
	if f.wStep != nil {
		return operand.Mem{Base: f.w, Disp: 32 * half}
	}
	return f.panel(0, 64*u+32*half)
}

// step goes on to the weights of step u of a turn, where they do not stand side by side.
func (s *strip16) step(f tileWords, u int) {
	if f.wStep != nil && u > 0 {
		s.c.ADDQ(f.wStep, f.w)
	}
}

// sums256 writes sums of products as they are, of weights that do not stand side by side.
func sums256(c *build.Context, data operand.Mem, level string, multiply func(s *strip16, f tileWords)) {
	function(c, "sums4x16"+level, "func(sums *[4][16]int32, a *uint8, w *int8, wStep, turns int)")
	s := &strip16{&panelStrip{c: c, panels: 1}, data}
	load := func(name string) reg.GPVirtual {
		r := c.GP64()
		c.Load(c.Param(name), r)
		return r
	}
	sums, f := load("sums"), tileWords{a: load("a"), w: load("w"), wStep: load("wStep"), turns: load("turns")}
	for _, sum := range ymm[:8] {
		c.VPXOR(sum, sum, sum)
	}
	c.Label("loop")
	multiply(s, f)
	c.ADDQ(f.wStep, f.w)
	c.ADDQ(operand.I8(unrolled*16), f.a)
	c.DECQ(f.turns)
	c.JNZ(operand.LabelRef("loop"))
	for i, sum := range ymm[:8] {
		c.VMOVDQU(sum, operand.Mem{Base: sums, Disp: 32 * i})
	}
	c.VZEROUPPER()
	c.RET()
}
