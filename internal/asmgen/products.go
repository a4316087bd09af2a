package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// encoderProducts writes the matrix products of an encoder. Each function computes one to three panels of sixteen
// columns for all blocks of four rows that it is given, two at a time, and makes of the sums, while they
// are still in registers, what package quant's product says.
func encoderProducts(c *build.Context) {
	transpose := c.StaticGlobal("transposeBytes")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		c.AddDatum(8*i, operand.U64([]uint64{0x0d0905010c080400, 0x0f0b07030e0a0602}[i%2]))
	}
	for _, panels := range []int{3, 2, 1} {
		productPanels(c, transpose, panels)
	}
}

// Fields of quant's product, all of eight bytes, in order.
const (
	productA = iota
	productAStep
	productW
	productWStep
	productTurns
	productBlocks
	productScale
	productOffset
	productBias
	productRowScale
	productRowLow
	productKind
	productDst
	productDstStep = iota + 2
	productPlaces
	productGreatest
	productTable
	productShift
	productNext // the shift is read as 16 bytes
	productNextBytes
	productNextStep
	productRate
	productWords
)

// Kinds of quant's product: what becomes of the sums.
const (
	toQueries = iota
	toKeys
	toValues
	toState
	toInner
	toInnerByWords
)

// How weights are prefetched. While a panel is computed for several tiles of rows, each turn of the loop
// fetches some lines of the next panels into the second level cache. Where there is one tile only, the
// weights come no faster than they can be fetched: then each turn fetches what will be needed so many
// turns later.
const (
	mostLines   = 6
	streamRate  = 12
	streamAhead = 4
)

// The registers: what holds sums, and the others.
var (
	sumRegisters = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11,
		reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23}
	otherRegisters = []reg.VecPhysical{reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
)

// A panelStrip is one to three panels whose blocks are computed.
type panelStrip struct {
	c         *build.Context
	panels    int
	transpose operand.Mem
	p         reg.GPVirtual // the fields
	prefetch  reg.GPVirtual
	rate      reg.GPVirtual
}

func productPanels(c *build.Context, transpose operand.Mem, panels int) {
	function(c, fmt.Sprintf("product%dAVX512VNNI", 16*panels), fmt.Sprintf("func(p *[%d]uint64)", productWords))
	s := &panelStrip{c: c, panels: panels, transpose: transpose, p: c.GP64()}
	c.Load(c.Param("p"), s.p)
	s.prefetch, s.rate = s.field(productNext), s.field(productRate)
	c.SUBQ(operand.Imm(2), s.word(productBlocks))
	c.JL(operand.LabelRef("last"))
	c.Label("tile")
	s.tile(8)
	s.nextTile()
	c.JGE(operand.LabelRef("tile"))
	c.Label("last")
	c.CMPQ(s.word(productBlocks), operand.I8(-1))
	c.JNE(operand.LabelRef("end"))
	s.tile(4)
	c.Label("end")
	c.VZEROUPPER()
	c.RET()
}

// field loads a field into a new register.
func (s *panelStrip) field(n int) reg.GPVirtual {
	r := s.c.GP64()
	s.c.MOVQ(s.word(n), r)
	return r
}

func (s *panelStrip) word(n int) operand.Mem { return operand.Mem{Base: s.p, Disp: 8 * n} }

// nextTile goes on by two blocks; flags say whether there are two more.
func (s *panelStrip) nextTile() {
	c := s.c
	step := s.field(productAStep)
	c.ADDQ(step, step)
	c.ADDQ(step, s.word(productA))
	c.MOVQ(s.word(productDstStep), step)
	c.ADDQ(step, step)
	for j := range s.panels {
		c.ADDQ(step, s.word(productDst+j))
	}
	c.ADDQ(operand.Imm(2*4*4), s.word(productRowScale))
	c.ADDQ(operand.Imm(2*4*4), s.word(productRowLow))
	c.ADDQ(operand.Imm(2*8), s.word(productPlaces))
	c.ADDQ(operand.I32(2*128), s.word(productGreatest))
	c.SUBQ(operand.Imm(2), s.word(productBlocks))
}

// tile computes one tile of eight or four rows.
func (s *panelStrip) tile(rows int) {
	c := s.c
	label := func(name string) string { return fmt.Sprintf("%s%d", name, rows) }
	acc := sumRegisters[:rows*s.panels]
	for _, sum := range acc {
		c.VPXORD(sum, sum, sum)
	}
	s.prefetchState(rows)
	f := tileWords{a: s.field(productA), aStep: s.field(productAStep), w: s.field(productW), wStep: s.field(productWStep), turns: s.field(productTurns)}
	c.CMPQ(s.rate, operand.Imm(streamRate))
	c.JEQ(operand.LabelRef(label("stream")))
	s.thinLoop(f, acc, rows, label)
	c.JMP(operand.LabelRef(label("sums")))
	c.Label(label("stream"))
	s.streamLoop(f, acc, rows, label)
	c.Label(label("sums"))
	s.scale(acc, rows, label)
	s.convert(acc, rows, label)
	c.Label(label("done"))
}

// prefetchState fetches what the tile will be added to.
func (s *panelStrip) prefetchState(rows int) {
	c := s.c
	done := operand.LabelRef(fmt.Sprintf("fetched%d", rows))
	c.CMPQ(s.word(productKind), operand.Imm(toState))
	c.JNE(done)
	dst, step := s.field(productDst), s.field(productDstStep)
	for t := range rows / 4 {
		for i := range 4 * s.panels {
			m := operand.Mem{Base: dst, Disp: 64 * i}
			if t > 0 {
				m.Index, m.Scale = step, 1
			}
			c.PREFETCHT0(m)
		}
	}
	c.Label(string(done))
}

// thinLoop computes sums while it fetches so many lines of the next panels as the rate says.
func (s *panelStrip) thinLoop(f tileWords, acc []reg.VecPhysical, rows int, label func(string) string) {
	c := s.c
	end := s.field(productNext)
	c.ADDQ(s.word(productNextBytes), end)
	c.CMPQ(s.prefetch, end)
	c.JLT(operand.LabelRef(label("begin")))
	c.XORQ(s.rate, s.rate)
	c.Label(label("begin"))
	step := c.GP64()
	c.MOVQ(s.rate, step)
	c.SHLQ(operand.Imm(6), step)
	s.loop(f, acc, rows, label("thin"), func(u int) {
		for i := range mostLines {
			if i%unrolled != u {
				continue
			}
			skip := label(fmt.Sprintf("line%dx", i))
			c.CMPQ(s.rate, operand.Imm(uint64(i)))
			c.JLE(operand.LabelRef(skip))
			c.PREFETCHT1(operand.Mem{Base: s.prefetch, Disp: 64 * i})
			c.Label(skip)
		}
	}, func() { c.ADDQ(step, s.prefetch) })
}

// streamLoop computes sums while it fetches what it will need some turns later, which goes on with the
// next panels.
func (s *panelStrip) streamLoop(f tileWords, acc []reg.VecPhysical, rows int, label func(string) string) {
	c := s.c
	at, step := c.GP64(), c.GP64()
	c.LEAQ(operand.Mem{Base: f.w, Disp: streamAhead * unrolled * 64}, at)
	c.MOVQ(f.wStep, step)
	turn := func() {
		c.CMPQ(f.turns, operand.Imm(streamAhead))
		c.CMOVQEQ(s.word(productNext), at)
		c.CMOVQEQ(s.word(productNextStep), step)
	}
	s.loop(f, acc, rows, label("stream"), func(u int) {
		if u == 0 {
			turn()
		}
		for j := range s.panels {
			c.PREFETCHT0(strided(at, step, j, 64*u))
		}
	}, func() { c.ADDQ(operand.I32(unrolled*64), at) })
}

// loop computes sums; fetch and step stand in each step and at the end of each turn.
func (s *panelStrip) loop(f tileWords, acc []reg.VecPhysical, rows int, label string, fetch func(u int), step func()) {
	c := s.c
	w, x := otherRegisters[:3], otherRegisters[3:7]
	c.Label(label + "loop")
	for u := range unrolled {
		for j := range s.panels {
			c.VMOVDQU32(f.panel(j, 64*u), w[j])
		}
		fetch(u)
		for r := range rows {
			c.VPBROADCASTD(f.block(r/4, 16*u+4*(r%4)), x[r%4])
			for j := range s.panels {
				c.VPDPBUSD(w[j], x[r%4], acc[r*s.panels+j])
			}
		}
	}
	step()
	c.ADDQ(operand.Imm(unrolled*16), f.a)
	c.ADDQ(operand.I32(unrolled*64), f.w)
	c.DECQ(f.turns)
	c.JNZ(operand.LabelRef(label + "loop"))
}

// scale makes reals of sums, with or without an offset.
func (s *panelStrip) scale(acc []reg.VecPhysical, rows int, label func(string) string) {
	c := s.c
	scales, offsets, biases := s.field(productScale), s.field(productOffset), s.field(productBias)
	rowScale, rowLow := s.field(productRowScale), s.field(productRowLow)
	scale, offset, bias := otherRegisters[0], otherRegisters[1], otherRegisters[2]
	c.TESTQ(offsets, offsets)
	c.JZ(operand.LabelRef(label("plain")))
	for j := range s.panels {
		c.VMOVUPS(operand.Mem{Base: scales, Disp: 64 * j}, scale)
		c.VMOVUPS(operand.Mem{Base: offsets, Disp: 64 * j}, offset)
		c.VMOVUPS(operand.Mem{Base: biases, Disp: 64 * j}, bias)
		for r := range rows {
			y, inner := acc[r*s.panels+j], otherRegisters[3+r%4]
			c.VCVTDQ2PS(y, y)
			c.VMULPS(scale, y, y)
			c.VMOVAPS(bias, inner)
			c.VFMADD231PS_BCST(operand.Mem{Base: rowLow, Disp: 4 * r}, offset, inner)
			c.VFMADD132PS_BCST(operand.Mem{Base: rowScale, Disp: 4 * r}, inner, y)
		}
	}
	c.JMP(operand.LabelRef(label("scaled")))
	c.Label(label("plain"))
	for j := range s.panels {
		c.VMOVUPS(operand.Mem{Base: scales, Disp: 64 * j}, scale)
		c.VMOVUPS(operand.Mem{Base: biases, Disp: 64 * j}, bias)
		for r := range rows {
			y := acc[r*s.panels+j]
			c.VCVTDQ2PS(y, y)
			c.VMULPS(scale, y, y)
			c.VFMADD132PS_BCST(operand.Mem{Base: rowScale, Disp: 4 * r}, bias, y)
		}
	}
	c.Label(label("scaled"))
}

// convert makes of reals what the kind says, and stores it.
func (s *panelStrip) convert(acc []reg.VecPhysical, rows int, label func(string) string) {
	c := s.c
	done := label("done")
	kind := s.field(productKind)
	c.CMPQ(kind, operand.Imm(toValues))
	c.JEQ(operand.LabelRef(label("values")))
	c.JG(operand.LabelRef(label("others")))
	c.CMPQ(kind, operand.Imm(toKeys))
	c.JEQ(operand.LabelRef(label("keys")))
	s.storeBytes(acc, rows, toQueries)
	c.JMP(operand.LabelRef(done))
	c.Label(label("keys"))
	s.storeBytes(acc, rows, toKeys)
	c.JMP(operand.LabelRef(done))
	c.Label(label("values"))
	s.storeBytes(acc, rows, toValues)
	c.JMP(operand.LabelRef(done))
	c.Label(label("others"))
	c.CMPQ(kind, operand.Imm(toInner))
	c.JEQ(operand.LabelRef(label("inner")))
	c.JG(operand.LabelRef(label("words")))
	s.addToState(acc, rows)
	c.JMP(operand.LabelRef(done))
	c.Label(label("inner"))
	zero := s.zero()
	s.storeInner(acc, rows, zero, s.lookUpVBMI(zero))
	c.JMP(operand.LabelRef(done))
	c.Label(label("words"))
	zero = s.zero()
	s.storeInner(acc, rows, zero, s.lookUpWords(zero))
}

func (s *panelStrip) zero() reg.VecPhysical {
	x := otherRegisters[0]
	s.c.VPXORD(x, x, x)
	return x
}

// storeBytes stores four rows by sixteen columns as 64 bytes: queries as they are packed; keys in four
// parts, each four components of a block of keys; values transposed, four rows of a component together.
func (s *panelStrip) storeBytes(acc []reg.VecPhysical, rows int, kind int) {
	c := s.c
	transpose := otherRegisters[0]
	if kind == toValues {
		c.VMOVDQU8(s.transpose, transpose)
	}
	for t := range rows / 4 {
		var at reg.GPVirtual
		if kind == toQueries {
			at = s.field(productDstStep)
		} else {
			places := s.field(productPlaces)
			at = c.GP64()
			c.MOVQ(operand.Mem{Base: places, Disp: 8 * t}, at)
		}
		for j := range s.panels {
			y := func(r int) reg.VecPhysical { return acc[(4*t+r)*s.panels+j] }
			for r := range 4 {
				c.VCVTPS2DQ(y(r), y(r))
			}
			c.VPACKSSDW(y(1), y(0), y(0))
			c.VPACKSSDW(y(3), y(2), y(2))
			dst := s.field(productDst + j)
			to := operand.Mem{Base: dst, Index: at, Scale: 1}
			switch kind {
			case toQueries:
				c.VPACKUSWB(y(2), y(0), y(0))
				if t == 0 {
					to = operand.Mem{Base: dst}
				}
				c.VMOVDQU8(y(0), to)
			case toKeys:
				c.VPACKSSWB(y(2), y(0), y(0))
				c.VMOVDQU8(y(0).AsX(), to)
				for q := 1; q < 4; q++ {
					to.Disp = 64 * q
					c.VEXTRACTI32X4(operand.Imm(uint64(q)), y(0), to)
				}
			case toValues:
				c.VPACKSSWB(y(2), y(0), y(0))
				c.VPSHUFB(transpose, y(0), y(0))
				c.VMOVDQU8(y(0), to)
			}
		}
	}
}

func (s *panelStrip) addToState(acc []reg.VecPhysical, rows int) {
	c := s.c
	dst, step := s.field(productDst), s.field(productDstStep)
	for r := range rows {
		if r == 4 {
			c.ADDQ(step, dst)
		}
		for j := range s.panels {
			to := operand.Mem{Base: dst, Disp: 256*j + 64*(r%4)}
			y := acc[r*s.panels+j]
			c.VADDPS(to, y, y)
			c.VMOVUPS(y, to)
		}
	}
}

// storeInner makes the values of the activation, by lookUp of what each lacks to max(x, 0), and notes the
// greatest of each row.
func (s *panelStrip) storeInner(acc []reg.VecPhysical, rows int, zero reg.VecPhysical, lookUp func(x, y reg.VecPhysical) (lackX, lackY reg.VecPhysical)) {
	c := s.c
	dst, step, greatest := s.field(productDst), s.field(productDstStep), s.field(productGreatest)
	for t := range rows / 4 {
		if t == 1 {
			c.ADDQ(step, dst)
		}
		var most [2]reg.VecPhysical
		for j := range s.panels {
			v := acc[4*t*s.panels:]
			for r := range 4 {
				c.VCVTPS2DQ(v[r*s.panels+j], v[r*s.panels+j])
			}
			pairs := [2]reg.VecPhysical{v[j], v[2*s.panels+j]}
			c.VPACKSSDW(v[s.panels+j], pairs[0], pairs[0])
			c.VPACKSSDW(v[3*s.panels+j], pairs[1], pairs[1])
			lackX, lackY := lookUp(pairs[0], pairs[1])
			for i, lack := range []reg.VecPhysical{lackX, lackY} {
				x := pairs[i]
				c.VPMAXSW(zero, x, x)
				c.VPADDSW(lack, x, x)
				c.VMOVDQU16(x, operand.Mem{Base: dst, Disp: 128*j + 64*i})
				if j == 0 {
					most[i] = x
				} else {
					c.VPMAXSW(x, most[i], most[i])
				}
			}
		}
		for i, m := range most {
			at := operand.Mem{Base: greatest, Disp: 128*t + 64*i}
			c.VPMAXSW(at, m, m)
			c.VMOVDQU16(m, at)
		}
	}
}

// lookUpVBMI looks 64 values up at once. A magnitude of 32768 counts as 32767.
func (s *panelStrip) lookUpVBMI(zero reg.VecPhysical) func(x, y reg.VecPhysical) (lackX, lackY reg.VecPhysical) {
	c := s.c
	table := s.field(productTable)
	lower, upper := otherRegisters[1], otherRegisters[2]
	c.VMOVDQU8(operand.Mem{Base: table}, lower)
	c.VMOVDQU8(operand.Mem{Base: table, Disp: 64}, upper)
	return func(x, y reg.VecPhysical) (reg.VecPhysical, reg.VecPhysical) {
		index, other := otherRegisters[3], otherRegisters[4]
		s.magnitude(x, zero, index)
		s.magnitude(y, zero, other)
		c.VPACKSSWB(other, index, index)
		c.VPERMI2B(upper, lower, index)
		c.VPUNPCKHBW(zero, index, other)
		c.VPUNPCKLBW(zero, index, index)
		return index, other
	}
}

// magnitude leaves in y that of words, shifted to an index; that of -32768 as that of -32767.
func (s *panelStrip) magnitude(x, zero, y reg.VecPhysical) {
	s.c.VPSUBSW(x, zero, y)
	s.c.VPMAXSW(x, y, y)
	s.c.VPSRLW(s.word(productShift), y, y)
}

// lookUpWords looks 32 values up at once, each two bytes of the table, and shifts the right one down.
func (s *panelStrip) lookUpWords(zero reg.VecPhysical) func(x, y reg.VecPhysical) (lackX, lackY reg.VecPhysical) {
	c := s.c
	table := s.field(productTable)
	lower, upper := otherRegisters[1], otherRegisters[2]
	c.VMOVDQU8(operand.Mem{Base: table}, lower)
	c.VMOVDQU8(operand.Mem{Base: table, Disp: 64}, upper)
	last, word := otherRegisters[7], c.GP32()
	c.MOVL(operand.U32(127), word)
	c.VPBROADCASTW(word, last)
	return func(x, y reg.VecPhysical) (reg.VecPhysical, reg.VecPhysical) {
		var lacks [2]reg.VecPhysical
		for i, v := range []reg.VecPhysical{x, y} {
			index, shift := otherRegisters[3+i], otherRegisters[5]
			s.magnitude(v, zero, index)
			c.VPMINUW(last, index, index)
			// An odd index takes the upper byte of its word.
			c.VPSLLW(operand.Imm(15), index, shift)
			c.VPSRLW(operand.Imm(12), shift, shift)
			c.VPSRLW(operand.Imm(1), index, index)
			c.VPERMI2W(upper, lower, index)
			c.VPSRLVW(shift, index, index)
			c.VPSLLW(operand.Imm(8), index, index)
			c.VPSRLW(operand.Imm(8), index, index)
			lacks[i] = index
		}
		return lacks[0], lacks[1]
	}
}
