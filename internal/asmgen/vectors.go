package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectors writes code for registers of one size: of 16 float32 values for AVX512, of 8 for AVX2. What is
// the same at both levels is written once with it.
type vectors struct {
	*build.Context
	level string
	masks operand.Mem // for tails at AVX2
}

func (v vectors) wide() bool { return v.level == "AVX512" }

// per is the number of float32 values in a register.
func (v vectors) per() int {
	if v.wide() {
		return 16
	}
	return 8
}

func (v vectors) vector() reg.VecVirtual {
	if v.wide() {
		return v.ZMM()
	}
	return v.YMM()
}

func (v vectors) zero() reg.VecVirtual {
	x := v.vector()
	if v.wide() {
		v.VPXORD(x, x, x)
	} else {
		v.VXORPS(x, x, x)
	}
	return x
}

func (v vectors) broadcast(param string) reg.VecVirtual { return broadcast(v.Context, param, v.vector) }

// broadcast loads a float32 parameter into all lanes.
func broadcast(c *build.Context, param string, vector func() reg.VecVirtual) reg.VecVirtual {
	x := vector()
	c.VBROADCASTSS(c.Load(c.Param(param), c.XMM()), x)
	return x
}

// load reads float32 values, under a mask if there is one: lanes without it become 0.
func (v vectors) load(from operand.Mem, mask reg.Register, x reg.VecVirtual) {
	switch {
	case mask == nil:
		v.VMOVUPS(from, x)
	case v.wide():
		v.VMOVUPS_Z(from, mask, x)
	default:
		v.VMASKMOVPS(from, mask, x)
	}
}

func (v vectors) store(x reg.VecVirtual, mask reg.Register, to operand.Mem) {
	switch {
	case mask == nil:
		v.VMOVUPS(x, to)
	case v.wide():
		v.VMOVUPS(x, mask, to)
	default:
		v.VMASKMOVPS(x, mask, to)
	}
}

// clearBelow sets lanes of y to 0 where x is less than limit.
func (v vectors) clearBelow(limit operand.Mem, x, y reg.VecVirtual) {
	const notLess = 5 // also true for NaN
	if v.wide() {
		k := v.K()
		v.VCMPPS_BCST(operand.Imm(notLess), limit, x, k)
		v.VMOVAPS_Z(y, k, y)
		return
	}
	keep := v.vector()
	v.VCMPPS(operand.Imm(notLess), limit, x, keep)
	v.VANDPS(keep, y, y)
}

// constants writes float32 values as data, each 8 times: a register of AVX2.
func constants(c *build.Context, name string, values ...float32) []operand.Mem {
	data := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	places := make([]operand.Mem, len(values))
	for i, value := range values {
		bits := uint64(math.Float32bits(value))
		for j := range 4 {
			c.AddDatum(i*32+j*8, operand.U64(bits<<32|bits))
		}
		places[i] = data.Offset(i * 32)
	}
	return places
}

// with writes an instruction with a constant as its first operand: broadcast is the form for AVX512, which
// reads one value, plain reads a register of them.
func (v vectors) with(plain, broadcast func(...operand.Op), constant operand.Mem, x, y reg.VecVirtual) {
	if v.wide() {
		broadcast(constant, x, y)
	} else {
		plain(constant, x, y)
	}
}

func (v vectors) add(constant operand.Mem, x, y reg.VecVirtual) {
	v.with(v.VADDPS, v.VADDPS_BCST, constant, x, y)
}

func (v vectors) subtract(constant operand.Mem, x, y reg.VecVirtual) {
	v.with(v.VSUBPS, v.VSUBPS_BCST, constant, x, y)
}

func (v vectors) multiply(constant operand.Mem, x, y reg.VecVirtual) {
	v.with(v.VMULPS, v.VMULPS_BCST, constant, x, y)
}

// polynomial leaves in y the polynomial of x with these coefficients, highest first.
func (v vectors) polynomial(coefficients []operand.Mem, x, y reg.VecVirtual) {
	v.multiply(coefficients[0], x, y)
	for _, c := range coefficients[1 : len(coefficients)-1] {
		v.add(c, y, y)
		v.VMULPS(x, y, y)
	}
	v.add(coefficients[len(coefficients)-1], y, y)
}

// register loads a constant into all lanes.
func (v vectors) register(constant operand.Mem) reg.VecVirtual {
	x := v.vector()
	v.VBROADCASTSS(constant, x)
	return x
}

// tailMasks writes the data that tailMask points into: eight ones, then eight zeros.
func tailMasks(c *build.Context, file string) operand.Mem {
	masks := c.StaticGlobal(file + "Masks")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		ones := operand.U64(0)
		if i < 4 {
			ones = ^ones
		}
		c.AddDatum(i*8, ones)
	}
	return masks
}

// tailMask returns a mask of 8 lanes whose first n are set, n < 8.
func (v vectors) tailMask(n reg.GPVirtual) reg.VecVirtual {
	table, lane, mask := v.GP64(), v.GP64(), v.YMM()
	v.LEAQ(v.masks, table)
	v.MOVQ(n, lane)
	v.NEGQ(lane)
	v.VMOVUPS(operand.Mem{Base: table, Index: lane, Scale: 4, Disp: 8 * 4}, mask)
	return mask
}

// tailBits returns n ones for n < 64, the mask of AVX512.
func tailBits(c *build.Context, n reg.GPVirtual) reg.GPVirtual {
	bits := c.GP64()
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(n, bits, bits)
	return bits
}

// pointer walks over a vector.
type pointer struct {
	reg.GPVirtual
	bytes int // of an element
}

func (v vectors) pointer(param string, bytes int) pointer {
	return pointer{v.Load(v.Param(param), v.GP64()).(reg.GPVirtual), bytes}
}

func (v vectors) count() reg.GPVirtual { return v.Load(v.Param("n"), v.GP64()).(reg.GPVirtual) }

// at is where the i-th register begins.
func (v vectors) at(p pointer, i int) operand.Mem {
	return operand.Mem{Base: p, Disp: i * v.per() * p.bytes}
}

func (v vectors) advance(pointers []pointer, n reg.GPVirtual, elements int) {
	for _, p := range pointers {
		v.ADDQ(operand.I32(elements*p.bytes), p.GPVirtual)
	}
	v.SUBQ(operand.I32(elements), n)
}

// each runs body over n elements: two registers at a time, the i-th without a mask, then one at a time
// under the mask of the elements that are left. Without the data for masks, AVX2 leaves what does not
// fill a register.
func (v vectors) each(n reg.GPVirtual, pointers []pointer, body func(i int, mask reg.Register)) {
	per := v.per()
	v.CMPQ(n, operand.Imm(uint64(2*per)))
	v.JL(operand.LabelRef("rest"))
	v.Label("loop")
	body(0, nil)
	body(1, nil)
	v.advance(pointers, n, 2*per)
	v.CMPQ(n, operand.Imm(uint64(2*per)))
	v.JGE(operand.LabelRef("loop"))
	v.Label("rest")
	if v.wide() {
		v.TESTQ(n, n)
		v.JLE(operand.LabelRef("done"))
		k := v.K()
		v.KMOVW(tailBits(v.Context, n).As32(), k)
		body(0, k)
		v.advance(pointers, n, per)
		v.JMP(operand.LabelRef("rest"))
	} else {
		v.CMPQ(n, operand.Imm(uint64(per)))
		v.JL(operand.LabelRef("last"))
		body(0, nil)
		v.advance(pointers, n, per)
		v.Label("last")
		if v.masks.Symbol.Name != "" {
			v.TESTQ(n, n)
			v.JZ(operand.LabelRef("done"))
			body(0, v.tailMask(n))
		}
	}
	v.Label("done")
}

func (v vectors) end() {
	v.VZEROUPPER()
	v.RET()
}
