package main

import (
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
	keep            bool   // the terms are stored to a vector dst too
	fused           bool   // instead of terms: products of a and b, added without being rounded before
	twice           bool   // two blocks a turn: worth it where a turn is short

	// term turns the values x of a into terms, y being the values of b.
	term func(v vectors, x reg.VecVirtual, y operand.Op)
}

func product(v vectors, x reg.VecVirtual, y operand.Op) { v.VMULPS(y, x, x) }

func squaredDistance(v vectors, x reg.VecVirtual, y operand.Op) {
	v.VSUBPS(y, x, x)
	v.VMULPS(x, x, x)
}

// write writes the reduction for both levels.
func (r reduction) write(c *build.Context, masks operand.Mem) {
	r.avx512(vectors{c, "AVX512", masks})
	r.avx2(vectors{c, "AVX2", masks})
}

// reducing is a reduction being written.
type reducing struct {
	reduction
	vectors
	a, b, dst pointer
	n         reg.GPVirtual
	scalar    reg.VecVirtual
	sum       []reg.VecVirtual
}

func (r reduction) begin(v vectors) *reducing {
	function(v.Context, r.name+v.level, r.signature)
	g := &reducing{reduction: r, vectors: v, sum: make([]reg.VecVirtual, 64/v.per())}
	if r.keep {
		g.dst = v.pointer("dst", 4)
	}
	g.a = v.pointer("a", r.a.bytes())
	if !r.one {
		g.b = v.pointer("b", r.b.bytes())
	}
	g.n = v.count()
	if r.scalar != "" {
		g.scalar = v.broadcast(r.scalar)
	}
	for i := range g.sum {
		g.sum[i] = v.zero()
	}
	return g
}

// blocks adds all full blocks of 64 elements.
func (g *reducing) blocks() {
	pointers := []pointer{g.a}
	if !g.one {
		pointers = append(pointers, g.b)
	}
	if g.keep {
		pointers = append(pointers, g.dst)
	}
	if g.twice {
		g.CMPQ(g.n, operand.U32(128))
		g.JL(operand.LabelRef("one"))
		g.Label("two")
		for i := range 2 * len(g.sum) {
			g.add(i)
		}
		g.advance(pointers, g.n, 128)
		g.CMPQ(g.n, operand.U32(128))
		g.JGE(operand.LabelRef("two"))
		g.Label("one")
	}
	g.CMPQ(g.n, operand.Imm(64))
	g.JL(operand.LabelRef("tail"))
	g.Label("loop")
	for i := range g.sum {
		g.add(i)
	}
	g.advance(pointers, g.n, 64)
	g.CMPQ(g.n, operand.Imm(64))
	g.JGE(operand.LabelRef("loop"))
	g.Label("tail")
}

// add adds the i-th register of a block.
func (g *reducing) add(i int) {
	sum := g.sum[i%len(g.sum)]
	x := g.vector()
	g.reduction.a.widen(g.Context, g.at(g.a, i), x)
	switch {
	case g.fused:
		g.VFMADD231PS(g.at(g.b, i), x, sum)
		return
	case g.scalar != nil:
		g.term(g.vectors, x, g.scalar)
	case g.one:
	case g.reduction.b == f32:
		g.term(g.vectors, x, g.at(g.b, i))
	default:
		y := g.vector()
		g.reduction.b.widen(g.Context, g.at(g.b, i), y)
		g.term(g.vectors, x, y)
	}
	if g.keep {
		g.store(x, nil, g.at(g.dst, i))
	}
	g.VADDPS(x, sum, sum)
}

// end adds the partial sums up and returns.
func (g *reducing) end() {
	g.Label("fold")
	result := fold(g.Context, g.sum, g.VADDPS)
	g.VZEROUPPER()
	g.Store(result, g.ReturnIndex(0))
	g.RET()
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

// avx512 takes the tail of 0 to 63 elements under masks: bit i of all stands for element i.
func (r reduction) avx512(v vectors) {
	g := r.begin(v)
	g.blocks()
	g.TESTQ(g.n, g.n)
	g.JZ(operand.LabelRef("fold"))
	bits := tailBits(g.Context, g.n)
	for i := range g.sum {
		k := g.K()
		g.KMOVW(bits.As32(), k)
		x := g.vector()
		r.a.widenMasked(g.Context, g.at(g.a, i), k, x)
		switch {
		case r.fused:
			y := g.vector()
			r.b.widenMasked(g.Context, g.at(g.b, i), k, y)
			g.VFMADD231PS(y, x, k, g.sum[i])
			g.SHRQ(operand.Imm(16), bits)
			continue
		case g.scalar != nil:
			g.term(v, x, g.scalar)
		case !r.one:
			y := g.vector()
			r.b.widenMasked(g.Context, g.at(g.b, i), k, y)
			g.term(v, x, y)
		}
		if r.keep {
			g.store(x, k, g.at(g.dst, i))
		}
		g.VADDPS(x, g.sum[i], k, g.sum[i])
		g.SHRQ(operand.Imm(16), bits)
	}
	g.end()
}

// avx2 takes the tail in registers of 8 elements. What is left then, fewer than 8, is loaded first,
// into last, because a register of partial sums cannot be chosen by a number.
func (r reduction) avx2(v vectors) {
	g := r.begin(v)
	g.blocks()
	last, full, rest := g.zero(), g.GP64(), g.GP64()
	factor := last // of last, where their product is fused
	if r.fused {
		factor = g.zero()
	}
	g.MOVQ(g.n, full)
	g.MOVQ(g.n, rest)
	g.ANDQ(operand.Imm(7), rest)
	g.JZ(operand.LabelRef("registers"))
	g.SUBQ(rest, full)
	mask := g.tailMask(rest)
	r.a.widenTail(g.Context, behind(g.a, full), rest, mask, last, "a")
	switch {
	case r.fused:
		r.b.widenTail(g.Context, behind(g.b, full), rest, mask, factor, "b")
	case g.scalar != nil:
		g.term(v, last, g.scalar)
		g.VANDPS(mask, last, last)
	case !r.one:
		y := g.vector()
		r.b.widenTail(g.Context, behind(g.b, full), rest, mask, y, "b")
		g.term(v, last, y)
	}
	if r.keep {
		g.store(last, mask, behind(g.dst, full))
	}

	g.Label("registers")
	for i := range 7 {
		g.CMPQ(g.n, operand.Imm(uint64(8*(i+1))))
		g.JL(operand.LabelRef("last" + digit(i)))
		g.add(i)
	}
	for i := 7; i >= 0; i-- {
		g.Label("last" + digit(i))
		if r.fused {
			g.VFMADD231PS(factor, last, g.sum[i])
		} else {
			g.VADDPS(last, g.sum[i], g.sum[i])
		}
		if i > 0 {
			g.JMP(operand.LabelRef("fold"))
		}
	}
	g.end()
}

func digit(i int) string { return string(rune('0' + i)) }

// behind is the place behind the first n elements.
func behind(p pointer, n reg.GPVirtual) operand.Mem {
	return operand.Mem{Base: p, Index: n, Scale: uint8(p.bytes)}
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

// fold adds 64 partial sums up: 64 to 32, to 16, ... to 1. Other operations than add go the same way.
func fold(c *build.Context, sum []reg.VecVirtual, add func(...operand.Op)) reg.VecVirtual {
	s, upper := pairwise(sum, add), c.ZMM()
	if s.Size() == 64 {
		c.VEXTRACTF64X4(operand.Imm(1), s, upper.AsY())
		add(upper.AsY(), s.AsY(), s.AsY())
	}
	x := s.AsX()
	c.VEXTRACTF128(operand.Imm(1), s.AsY(), upper.AsX())
	add(upper.AsX(), x, x)
	c.VPERMILPD(operand.Imm(1), x, upper.AsX())
	add(upper.AsX(), x, x)
	c.VMOVSHDUP(x, upper.AsX())
	add(upper.AsX(), x, x)
	return x.(reg.VecVirtual)
}

// pairwise adds the upper half of the registers to the lower half until one is left.
func pairwise(sum []reg.VecVirtual, add func(...operand.Op)) reg.VecVirtual {
	for w := len(sum) / 2; w > 0; w /= 2 {
		for i := range w {
			add(sum[i+w], sum[i], sum[i])
		}
	}
	return sum[0]
}
