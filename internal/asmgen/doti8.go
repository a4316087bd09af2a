package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotI8 writes the reductions of two vectors of int8. Sums are exact, so their order is free.
//
// VPDPBUSD multiplies unsigned by signed bytes. Flipping the sign bit of a makes it a+128, unsigned; the
// sum of 128*b, taken by the same instruction, comes off at the end. Both may wrap round on the way:
// their difference does not.
func dotI8(c *build.Context) {
	lastBytes(c)
	dotI8VNNI(c, "dotI8AVX512VNNI", c.ZMM)
	widenI8(c, "dotI8AVX512", "func(a, b *int8, n int) int32", c.ZMM, dotTerms)
	dotI8VNNI(c, "dotI8AVXVNNI", c.YMM)
	widenI8(c, "dotI8AVX2", "func(a, b *int8, n int) int32", c.YMM, dotTerms)
	l2I8(c, "l2I8AVX512", c.ZMM)
	l2I8(c, "l2I8AVX2", c.YMM)
	cosineI8AVX512VNNI(c)
	widenI8(c, "cosineI8AVX512", "func(a, b *int8, n int) (ab, aa, bb int32)", c.ZMM, cosineTerms)
	widenI8(c, "cosineI8AVX2", "func(a, b *int8, n int) (ab, aa, bb int32)", c.YMM, cosineTerms)
}

// A pair walks along two vectors of bytes, which hold n more elements.
type pair struct {
	c       *build.Context
	a, b, n reg.GPVirtual
}

func newPair(c *build.Context) pair {
	return pair{
		c: c,
		a: c.Load(c.Param("a"), c.GP64()).(reg.GPVirtual),
		b: c.Load(c.Param("b"), c.GP64()).(reg.GPVirtual),
		n: c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual),
	}
}

// walk calls step for vectors of size elements: four at a time, then one at a time, then last for the
// rest of 1 to size-1.
func (p pair) walk(size int, step func(i, offset int), last func()) {
	c := p.c
	c.CMPQ(p.n, operand.U32(4*size))
	c.JL(operand.LabelRef("one"))
	c.Label("four")
	for i := range 4 {
		step(i, i*size)
	}
	p.advance(4 * size)
	c.CMPQ(p.n, operand.U32(4*size))
	c.JGE(operand.LabelRef("four"))
	c.Label("one")
	c.CMPQ(p.n, operand.U32(2*size))
	c.JL(operand.LabelRef("single"))
	step(0, 0)
	step(1, size)
	p.advance(2 * size)
	c.Label("single")
	c.CMPQ(p.n, operand.U32(size))
	c.JL(operand.LabelRef("rest"))
	step(2, 0)
	p.advance(size)
	c.Label("rest")
	c.TESTQ(p.n, p.n)
	c.JE(operand.LabelRef("done"))
	last()
	c.Label("done")
}

func (p pair) advance(bytes int) {
	p.c.ADDQ(operand.U32(bytes), p.a)
	p.c.ADDQ(operand.U32(bytes), p.b)
	p.c.SUBQ(operand.U32(bytes), p.n)
}

// back moves to the last size elements, those before the rest included: without masks the rest is read
// with what lies before it, and the vectors have at least size elements.
func (p pair) back(size int) {
	p.c.LEAQ(operand.Mem{Base: p.a, Index: p.n, Scale: 1, Disp: -size}, p.a)
	p.c.LEAQ(operand.Mem{Base: p.b, Index: p.n, Scale: 1, Disp: -size}, p.b)
}

// keep returns size bytes of which the last n are ones: they keep the rest and clear what lies before it.
func (p pair) keep(size int) operand.Mem {
	table := p.c.GP64()
	p.c.LEAQ(operand.NewDataAddr(operand.NewStaticSymbol("lastBytes"), 0), table)
	return operand.Mem{Base: table, Index: p.n, Scale: 1, Disp: 32 - size}
}

// lastBytes writes a table of 32 zeros and 32 ones, once a file.
func lastBytes(c *build.Context) {
	c.StaticGlobal("lastBytes")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		word := operand.U64(0)
		if i >= 4 {
			word = ^word
		}
		c.AddDatum(8*i, word)
	}
}

// firstBits returns a mask of n ones, all if n is 64 or more.
func firstBits(c *build.Context, n reg.GPVirtual) reg.OpmaskVirtual {
	bits, k := c.GP64(), c.K()
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(n, bits, bits)
	c.KMOVQ(bits, k)
	return k
}

// zeros makes n vectors of zeros.
func zeros(c *build.Context, vector func() reg.VecVirtual, n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = vector()
		if v[i].Size() == 64 {
			c.VPXORD(v[i], v[i], v[i])
		} else {
			c.VPXOR(v[i], v[i], v[i])
		}
	}
	return v
}

// repeat fills a vector with a value of 32 bits.
func repeat(c *build.Context, vector func() reg.VecVirtual, value uint32) reg.VecVirtual {
	v, word := vector(), c.GP32()
	c.MOVL(operand.U32(value), word)
	c.VMOVD(word, v.AsX())
	c.VPBROADCASTD(v.AsX(), v)
	return v
}

// exclusiveOr writes x ^ y to dst, in the form that the width has.
func exclusiveOr(c *build.Context, x operand.Op, y, dst reg.VecVirtual) {
	if dst.Size() == 64 {
		c.VPXORQ(x, y, dst)
	} else {
		c.VPXOR(x, y, dst)
	}
}

func move(c *build.Context, m operand.Mem, dst reg.VecVirtual) {
	if dst.Size() == 64 {
		c.VMOVDQU64(m, dst)
	} else {
		c.VMOVDQU(m, dst)
	}
}

func dotI8VNNI(c *build.Context, name string, vector func() reg.VecVirtual) {
	function(c, name, "func(a, b *int8, n int) int32")
	p := newPair(c)
	flip := repeat(c, vector, 0x80808080)
	size := int(flip.Size())
	sum, off := zeros(c, vector, 4), zeros(c, vector, 4)
	x, y := vector(), vector()
	p.walk(size, func(i, offset int) {
		exclusiveOr(c, operand.Mem{Base: p.a, Disp: offset}, flip, x)
		move(c, operand.Mem{Base: p.b, Disp: offset}, y)
		c.VPDPBUSD(y, x, sum[i])
		c.VPDPBUSD(y, flip, off[i])
	}, func() {
		if size == 64 {
			k := firstBits(c, p.n)
			c.VMOVDQU8_Z(operand.Mem{Base: p.a}, k, x)
			c.VMOVDQU8_Z(operand.Mem{Base: p.b}, k, y)
		} else {
			p.back(size)
			move(c, operand.Mem{Base: p.a}, x)
			move(c, p.keep(size), y)
			c.VPAND(operand.Mem{Base: p.b}, y, y)
		}
		exclusiveOr(c, x, flip, x)
		c.VPDPBUSD(y, x, sum[3])
		c.VPDPBUSD(y, flip, off[3])
	})
	total, offset := addUp(c, sum), addUp(c, off)
	c.VPSUBD(offset, total, total)
	c.Store(foldI32(c, total), c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}

// addUp adds vectors of int32, pair by pair, and returns the sum in the first.
func addUp(c *build.Context, v []reg.VecVirtual) reg.VecVirtual {
	for n := len(v) / 2; n > 0; n /= 2 {
		for i := range n {
			c.VPADDD(v[i+n], v[i], v[i])
		}
	}
	return v[0]
}

// foldI32 adds up the int32 of a vector.
func foldI32(c *build.Context, v reg.VecVirtual) reg.GPVirtual {
	return foldWith(c, v, func(x, y reg.Register) { c.VPADDD(x, y, y) })
}

// foldWith combines the words of 32 bits of v into one; combine makes y of x and y.
func foldWith(c *build.Context, v reg.VecVirtual, combine func(x, y reg.Register)) reg.GPVirtual {
	upper, word := c.ZMM(), c.GP32()
	if v.Size() == 64 {
		c.VEXTRACTI64X4(operand.Imm(1), v, upper.AsY())
		combine(upper.AsY(), v.AsY())
	}
	c.VEXTRACTI128(operand.Imm(1), v.AsY(), upper.AsX())
	combine(upper.AsX(), v.AsX())
	c.VPSHUFD(operand.Imm(0x4e), v.AsX(), upper.AsX())
	combine(upper.AsX(), v.AsX())
	c.VPSHUFD(operand.Imm(0xb1), v.AsX(), upper.AsX())
	combine(upper.AsX(), v.AsX())
	c.VMOVD(v.AsX(), word)
	return word
}

// terms adds the products of two vectors of int16 to the i-th vector of each of its sums.
type terms struct {
	sums int
	add  func(c *build.Context, x, y, product reg.VecVirtual, sum []reg.VecVirtual)
}

var dotTerms = terms{1, func(c *build.Context, x, y, product reg.VecVirtual, sum []reg.VecVirtual) {
	c.VPMADDWD(x, y, product)
	c.VPADDD(product, sum[0], sum[0])
}}

var cosineTerms = terms{3, func(c *build.Context, x, y, product reg.VecVirtual, sum []reg.VecVirtual) {
	c.VPMADDWD(x, y, product)
	c.VPADDD(product, sum[0], sum[0])
	c.VPMADDWD(x, x, x)
	c.VPADDD(x, sum[1], sum[1])
	c.VPMADDWD(y, y, y)
	c.VPADDD(y, sum[2], sum[2])
}}

// widenI8 writes a reduction that widens its elements to int16. VPMADDWD adds two products in int32:
// it saturates nothing, as VPMADDUBSW would.
func widenI8(c *build.Context, name, signature string, vector func() reg.VecVirtual, t terms) {
	function(c, name, signature)
	p := newPair(c)
	x, y, product := vector(), vector(), vector()
	size := int(x.Size()) / 2
	// Adding takes one cycle: two vectors of each sum hide it.
	sum := [2][]reg.VecVirtual{zeros(c, vector, t.sums), zeros(c, vector, t.sums)}
	p.walk(size, func(i, offset int) {
		c.VPMOVSXBW(operand.Mem{Base: p.a, Disp: offset}, x)
		c.VPMOVSXBW(operand.Mem{Base: p.b, Disp: offset}, y)
		t.add(c, x, y, product, sum[i%2])
	}, func() {
		if size == 32 {
			k := firstBits(c, p.n)
			c.VPMOVSXBW_Z(operand.Mem{Base: p.a}, k, x)
			c.VPMOVSXBW_Z(operand.Mem{Base: p.b}, k, y)
		} else {
			p.back(size)
			c.VPMOVSXBW(p.keep(size), product)
			c.VPMOVSXBW(operand.Mem{Base: p.a}, x)
			c.VPMOVSXBW(operand.Mem{Base: p.b}, y)
			c.VPAND(product, x, x)
			c.VPAND(product, y, y)
		}
		t.add(c, x, y, product, sum[1])
	})
	for i := range t.sums {
		c.VPADDD(sum[1][i], sum[0][i], sum[0][i])
		c.Store(foldI32(c, sum[0][i]), c.ReturnIndex(i))
	}
	c.VZEROUPPER()
	c.RET()
}

// l2I8 takes differences without sign, which fit a byte, and squares them as int16.
func l2I8(c *build.Context, name string, vector func() reg.VecVirtual) {
	function(c, name, "func(a, b *int8, n int) int32")
	p := newPair(c)
	zero, sum := zeros(c, vector, 1)[0], zeros(c, vector, 2)
	x, y, low, high := vector(), vector(), vector(), vector()
	size := int(x.Size())
	square := func(difference reg.VecVirtual) {
		c.VPUNPCKLBW(zero, difference, low)
		c.VPUNPCKHBW(zero, difference, high)
		c.VPMADDWD(low, low, low)
		c.VPMADDWD(high, high, high)
		c.VPADDD(low, sum[0], sum[0])
		c.VPADDD(high, sum[1], sum[1])
	}
	subtract := func() {
		c.VPMINSB(x, y, low)
		c.VPMAXSB(x, y, high)
		c.VPSUBB(low, high, x)
	}
	p.walk(size, func(_, offset int) {
		move(c, operand.Mem{Base: p.a, Disp: offset}, x)
		move(c, operand.Mem{Base: p.b, Disp: offset}, y)
		subtract()
		square(x)
	}, func() {
		if size == 64 {
			k := firstBits(c, p.n)
			c.VMOVDQU8_Z(operand.Mem{Base: p.a}, k, x)
			c.VMOVDQU8_Z(operand.Mem{Base: p.b}, k, y)
			subtract()
		} else {
			p.back(size)
			move(c, operand.Mem{Base: p.a}, x)
			move(c, operand.Mem{Base: p.b}, y)
			subtract()
			c.VPAND(p.keep(size), x, x)
		}
		square(x)
	})
	c.Store(foldI32(c, addUp(c, sum)), c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}

func cosineI8AVX512VNNI(c *build.Context) {
	function(c, "cosineI8AVX512VNNI", "func(a, b *int8, n int) (ab, aa, bb int32)")
	p := newPair(c)
	flip := repeat(c, c.ZMM, 0x80808080)
	// Sums of a*b, a*a, b*b, 128*a and 128*b, twice, because adding to one takes four cycles.
	sum := [2][]reg.VecVirtual{zeros(c, c.ZMM, 5), zeros(c, c.ZMM, 5)}
	x, y, xFlipped, yFlipped := c.ZMM(), c.ZMM(), c.ZMM(), c.ZMM()
	add := func(sum []reg.VecVirtual) {
		c.VPXORD(x, flip, xFlipped)
		c.VPXORD(y, flip, yFlipped)
		c.VPDPBUSD(y, xFlipped, sum[0])
		c.VPDPBUSD(x, xFlipped, sum[1])
		c.VPDPBUSD(y, yFlipped, sum[2])
		c.VPDPBUSD(x, flip, sum[3])
		c.VPDPBUSD(y, flip, sum[4])
	}
	p.walk(64, func(i, offset int) {
		c.VMOVDQU64(operand.Mem{Base: p.a, Disp: offset}, x)
		c.VMOVDQU64(operand.Mem{Base: p.b, Disp: offset}, y)
		add(sum[i%2])
	}, func() {
		k := firstBits(c, p.n)
		c.VMOVDQU8_Z(operand.Mem{Base: p.a}, k, x)
		c.VMOVDQU8_Z(operand.Mem{Base: p.b}, k, y)
		add(sum[1])
	})
	total := sum[0]
	for i := range total {
		c.VPADDD(sum[1][i], total[i], total[i])
	}
	c.VPSUBD(total[4], total[0], total[0])
	c.VPSUBD(total[3], total[1], total[1])
	c.VPSUBD(total[4], total[2], total[2])
	for i, v := range total[:3] {
		c.Store(foldI32(c, v), c.ReturnIndex(i))
	}
	c.VZEROUPPER()
	c.RET()
}
