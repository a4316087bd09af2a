package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// element is what a vector holds in memory. All of them are float32 in registers.
type element int

const (
	f32 element = iota
	f16
	bf16
)

func (e element) bytes() int {
	if e == f32 {
		return 4
	}
	return 2
}

// reduction is a sum over the elements of one or two vectors, in the order that simd.DotF32 describes:
// 64 partial sums, terms rounded before they are added.
type reduction struct {
	name, signature string
	a, b            element
	one             bool   // there is no vector b
	scalar          string // a parameter that stands in the place of each b[i]

	// term turns the values x of a into terms, y being the values of b.
	term func(c *build.Context, x reg.VecVirtual, y operand.Op)
}

func product(c *build.Context, x reg.VecVirtual, y operand.Op) { c.VMULPS(y, x, x) }

func squaredDistance(c *build.Context, x reg.VecVirtual, y operand.Op) {
	c.VSUBPS(y, x, x)
	c.VMULPS(x, x, x)
}

// arguments are those of a reduction, in registers.
type arguments struct {
	a, b, n reg.GPVirtual
	scalar  reg.VecVirtual
}

func (r reduction) arguments(c *build.Context, vector func() reg.VecVirtual) (args arguments) {
	args.a = c.Load(c.Param("a"), c.GP64()).(reg.GPVirtual)
	if !r.one {
		args.b = c.Load(c.Param("b"), c.GP64()).(reg.GPVirtual)
	}
	args.n = c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	if r.scalar != "" {
		args.scalar = broadcast(c, r.scalar, vector)
	}
	return args
}

// broadcast loads a float32 parameter into all lanes.
func broadcast(c *build.Context, param string, vector func() reg.VecVirtual) reg.VecVirtual {
	v := vector()
	x := c.Load(c.Param(param), c.XMM())
	c.VBROADCASTSS(x, v)
	return v
}

// advance moves the pointers by 64 elements and jumps to the label loop while that many are left.
func (r reduction) advance(c *build.Context, args arguments) {
	c.ADDQ(operand.I32(64*r.a.bytes()), args.a)
	if !r.one {
		c.ADDQ(operand.I32(64*r.b.bytes()), args.b)
	}
	c.SUBQ(operand.Imm(64), args.n)
	c.CMPQ(args.n, operand.Imm(64))
	c.JGE(operand.LabelRef("loop"))
}

// widen loads elements into x as float32 values.
func (e element) widen(c *build.Context, from operand.Op, x reg.VecVirtual) {
	switch e {
	case f32:
		c.VMOVUPS(from, x)
	case f16:
		c.VCVTPH2PS(from, x)
	case bf16:
		c.VPMOVZXWD(from, x)
		c.VPSLLD(operand.Imm(16), x, x)
	}
}

// terms leaves in x the terms of a full register, the i-th of a block of 64 elements.
func (r reduction) terms(c *build.Context, args arguments, i int, x reg.VecVirtual, vector func() reg.VecVirtual) {
	perRegister := int(x.Size()) / 4
	r.a.widen(c, operand.Mem{Base: args.a, Disp: i * perRegister * r.a.bytes()}, x)
	at := operand.Mem{Base: args.b, Disp: i * perRegister * r.b.bytes()}
	switch {
	case r.scalar != "":
		r.term(c, x, args.scalar)
	case r.one:
	case r.b == f32:
		r.term(c, x, at)
	default:
		y := vector()
		r.b.widen(c, at, y)
		r.term(c, x, y)
	}
}

func (r reduction) avx512(c *build.Context) {
	function(c, r.name+"AVX512", r.signature)
	args := r.arguments(c, c.ZMM)
	sum := make([]reg.VecVirtual, 4)
	for i := range sum {
		sum[i] = c.ZMM()
		c.VPXORD(sum[i], sum[i], sum[i])
	}
	c.CMPQ(args.n, operand.Imm(64))
	c.JL(operand.LabelRef("tail"))
	c.Label("loop")
	for i := range sum {
		x := c.ZMM()
		r.terms(c, args, i, x, c.ZMM)
		c.VADDPS(x, sum[i], sum[i])
	}
	r.advance(c, args)

	// The tail of 0 to 63 elements: bit i of the mask stands for element i.
	c.Label("tail")
	c.TESTQ(args.n, args.n)
	c.JZ(operand.LabelRef("fold"))
	bits := tailBits(c, args.n)
	for i := range sum {
		k := c.K()
		c.KMOVW(bits.As32(), k)
		x := c.ZMM()
		r.a.widenMasked(c, operand.Mem{Base: args.a, Disp: i * 16 * r.a.bytes()}, k, x)
		switch {
		case r.scalar != "":
			r.term(c, x, args.scalar)
		case !r.one:
			y := c.ZMM()
			r.b.widenMasked(c, operand.Mem{Base: args.b, Disp: i * 16 * r.b.bytes()}, k, y)
			r.term(c, x, y)
		}
		c.VADDPS(x, sum[i], k, sum[i])
		c.SHRQ(operand.Imm(16), bits)
	}
	c.Label("fold")
	result := fold(c, sum)
	c.VZEROUPPER()
	c.Store(result, c.ReturnIndex(0))
	c.RET()
}

// tailBits returns n ones, n < 64.
func tailBits(c *build.Context, n reg.GPVirtual) reg.GPVirtual {
	bits := c.GP64()
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(n, bits, bits)
	return bits
}

// widenMasked loads the elements that the mask k has, and zeros for the others.
func (e element) widenMasked(c *build.Context, from operand.Mem, k reg.Register, x reg.VecVirtual) {
	switch e {
	case f32:
		c.VMOVUPS_Z(from, k, x)
	case f16:
		c.VCVTPH2PS_Z(from, k, x)
	case bf16:
		c.VPMOVZXWD_Z(from, k, x)
		c.VPSLLD(operand.Imm(16), x, x)
	}
}

// avx2 takes the tail in registers of 8 elements. What is left then, fewer than 8, is loaded first,
// into last, because a register of partial sums cannot be chosen by a number.
func (r reduction) avx2(c *build.Context, masks operand.Mem) {
	function(c, r.name+"AVX2", r.signature)
	args := r.arguments(c, c.YMM)
	sum := make([]reg.VecVirtual, 8)
	for i := range sum {
		sum[i] = c.YMM()
		c.VXORPS(sum[i], sum[i], sum[i])
	}
	c.CMPQ(args.n, operand.Imm(64))
	c.JL(operand.LabelRef("tail"))
	c.Label("loop")
	for i := range sum {
		x := c.YMM()
		r.terms(c, args, i, x, c.YMM)
		c.VADDPS(x, sum[i], sum[i])
	}
	r.advance(c, args)

	c.Label("tail")
	last := c.YMM()
	c.VXORPS(last, last, last)
	full, rest := c.GP64(), c.GP64()
	c.MOVQ(args.n, full)
	c.MOVQ(args.n, rest)
	c.ANDQ(operand.Imm(7), rest)
	c.JZ(operand.LabelRef("registers"))
	c.SUBQ(rest, full)
	mask := c.YMM()
	c.VMOVUPS(tailMask(c, masks, rest), mask)
	r.a.widenTail(c, operand.Mem{Base: args.a, Index: full, Scale: uint8(r.a.bytes())}, rest, mask, last, "a")
	switch {
	case r.scalar != "":
		r.term(c, last, args.scalar)
		c.VANDPS(mask, last, last)
	case !r.one:
		y := c.YMM()
		r.b.widenTail(c, operand.Mem{Base: args.b, Index: full, Scale: uint8(r.b.bytes())}, rest, mask, y, "b")
		r.term(c, last, y)
	}

	c.Label("registers")
	for i := range sum {
		if i < 7 {
			c.CMPQ(args.n, operand.Imm(uint64(8*(i+1))))
			c.JL(operand.LabelRef("last" + digit(i)))
			x := c.YMM()
			r.terms(c, args, i, x, c.YMM)
			c.VADDPS(x, sum[i], sum[i])
		}
	}
	for i := 7; i >= 0; i-- {
		c.Label("last" + digit(i))
		c.VADDPS(last, sum[i], sum[i])
		if i > 0 {
			c.JMP(operand.LabelRef("fold"))
		}
	}
	c.Label("fold")
	result := fold(c, sum)
	c.VZEROUPPER()
	c.Store(result, c.ReturnIndex(0))
	c.RET()
}

func digit(i int) string { return string(rune('0' + i)) }

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

// tailMask returns where the mask of 8 lanes stands whose first n are set, n < 8.
func tailMask(c *build.Context, masks operand.Mem, n reg.GPVirtual) operand.Mem {
	table, lane := c.GP64(), c.GP64()
	c.LEAQ(masks, table)
	c.MOVQ(n, lane)
	c.NEGQ(lane)
	return operand.Mem{Base: table, Index: lane, Scale: 4, Disp: 8 * 4}
}

// widenTail loads the last n elements, fewer than 8, and zeros behind them, without reading past the
// end. No instruction of AVX2 does that for 16 bits, so those are put together one by one.
func (e element) widenTail(c *build.Context, from operand.Mem, n reg.GPVirtual, mask, x reg.VecVirtual, vector string) {
	if e == f32 {
		c.VMASKMOVPS(from, mask, x)
		return
	}
	at, left := c.GP64(), c.GP64()
	c.LEAQ(from, at)
	c.MOVQ(n, left)
	c.VXORPS(x, x, x)
	c.Label("word" + vector)
	c.VPSLLDQ(operand.Imm(2), x.AsX(), x.AsX())
	c.VPINSRW(operand.Imm(0), operand.Mem{Base: at, Index: left, Scale: 2, Disp: -2}, x.AsX(), x.AsX())
	c.DECQ(left)
	c.JNZ(operand.LabelRef("word" + vector))
	e.widen(c, x.AsX(), x)
}

// fold adds 64 partial sums up: 64 to 32, to 16, ... to 1.
func fold(c *build.Context, sum []reg.VecVirtual) reg.VecVirtual {
	for w := len(sum) / 2; w > 0; w /= 2 {
		for i := range w {
			c.VADDPS(sum[i+w], sum[i], sum[i])
		}
	}
	upper := c.ZMM()
	if sum[0].Size() == 64 {
		c.VEXTRACTF64X4(operand.Imm(1), sum[0], upper.AsY())
		c.VADDPS(upper.AsY(), sum[0].AsY(), sum[0].AsY())
	}
	x := sum[0].AsX()
	c.VEXTRACTF128(operand.Imm(1), sum[0].AsY(), upper.AsX())
	c.VADDPS(upper.AsX(), x, x)
	c.VPERMILPD(operand.Imm(1), x, upper.AsX())
	c.VADDPS(upper.AsX(), x, x)
	c.VMOVSHDUP(x, upper.AsX())
	c.VADDSS(upper.AsX(), x, x)
	return x.(reg.VecVirtual)
}
