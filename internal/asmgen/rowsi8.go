package main

import (
	"strconv"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const rowsI8Signature = "func(dst *int32, q, rows *int8, n, d, ahead int)"

// rowsI8 writes the dot product of one vector of int8 with each row of a matrix, four rows at a time, so
// that the ends of four reductions are one. VPDPBUSD takes two side by side: it waits less for its own
// sums than with one, and reads memory more in order than with four. Where elements must be widened four
// stand side by side, so that the query is widened once for four.
func rowsI8(c *build.Context) {
	lastBytes(c)
	rowsI8VNNI(c, "dotRowsI8AVX512VNNI", c.ZMM)
	rowsI8VNNI(c, "dotRowsI8AVXVNNI", c.YMM)
	rowsI8Widened(c, "dotRowsI8AVX512", c.ZMM)
	rowsI8Widened(c, "dotRowsI8AVX2", c.YMM)
}

// A blocks says how a query and rows of d elements are cut: into full blocks of a size, and a rest.
type blocks struct {
	size       int
	full, rest reg.GPVirtual
	mask       reg.OpmaskVirtual // of the rest, with AVX-512
	keep       reg.VecVirtual    // what the rest keeps of the last size elements, otherwise
}

func newBlocks(c *build.Context, d reg.GPVirtual, size, shift int, masked bool) blocks {
	b := blocks{size: size, full: c.GP64(), rest: d}
	c.MOVQ(d, b.full)
	c.SHRQ(operand.U8(shift), b.full)
	c.ANDQ(operand.U32(size-1), b.rest)
	if masked {
		b.mask = firstBits(c, b.rest)
		return b
	}
	b.keep = c.YMM()
	table := c.GP64()
	c.LEAQ(operand.NewDataAddr(operand.NewStaticSymbol("lastBytes"), 32-size), table)
	m := operand.Mem{Base: table, Index: b.rest, Scale: 1}
	if size == 32 {
		c.VMOVDQU(m, b.keep)
	} else {
		c.VPMOVSXBW(m, b.keep)
	}
	return b
}

// walk calls step for every full block, then last for the rest, once it is there: without masks it is
// read with what lies before it.
func (b blocks) walk(s scan, name string, step, last func()) {
	c := s.c
	count := c.GP64()
	c.MOVQ(b.full, count)
	c.TESTQ(count, count)
	c.JE(operand.LabelRef(name + "Rest"))
	c.Label(name + "Block")
	step()
	s.along(b.size, b.size)
	c.DECQ(count)
	c.JNE(operand.LabelRef(name + "Block"))
	c.Label(name + "Rest")
	c.TESTQ(b.rest, b.rest)
	c.JE(operand.LabelRef(name + "Done"))
	if b.keep != nil {
		c.LEAQ(operand.Mem{Base: s.q, Index: b.rest, Scale: 1, Disp: -b.size}, s.q)
		c.LEAQ(operand.Mem{Base: s.row, Index: b.rest, Scale: 1, Disp: -b.size}, s.row)
	}
	last()
	c.Label(name + "Done")
}

// toNextRow goes from where the rest was read to where the next row begins.
func (s scan) toNextRow(b blocks) {
	if b.keep != nil { // the rest was read from where its last size elements begin
		s.c.ADDQ(operand.U32(b.size), s.row)
	} else {
		s.c.ADDQ(b.rest, s.row)
	}
	s.c.ADDQ(b.rest, s.next)
}

const side = 2

func rowsI8VNNI(c *build.Context, name string, vector func() reg.VecVirtual) {
	function(c, name, rowsI8Signature)
	s, d := newScan(c, 1)
	flip := repeat(c, vector, 0x80808080)
	size := int(flip.Size())
	b := newBlocks(c, d, size, map[int]int{64: 6, 32: 5}[size], size == 64)
	q, x := vector(), vector()
	loadRest := func() {
		if b.mask != nil {
			c.VMOVDQU8_Z(operand.Mem{Base: s.q}, b.mask, q)
		} else {
			c.VPAND(operand.Mem{Base: s.q}, b.keep, q)
		}
	}

	// With the sign bit flipped a row is too large by 128: every sum starts with what comes off for it.
	off, start := zeros(c, vector, 1)[0], zeros(c, vector, 1)[0]
	s.start()
	b.walk(s, "query", func() {
		move(c, operand.Mem{Base: s.q}, q)
		c.VPDPBUSD(q, flip, off)
	}, func() {
		loadRest()
		c.VPDPBUSD(q, flip, off)
	})
	c.VPSUBD(off, start, start)

	c.Label("group")
	s.start()
	var sum [4]reg.VecVirtual
	for k := range sum {
		sum[k] = vector()
		if size == 64 {
			c.VMOVDQA64(start, sum[k])
		} else {
			c.VMOVDQA(start, sum[k])
		}
	}
	for k := 0; k < 4; k += side {
		if k > 0 {
			c.MOVQ(s.queryFrom, s.q)
		}
		b.walk(s, "row"+strconv.Itoa(k), func() {
			s.prefetch(side, size)
			move(c, operand.Mem{Base: s.q}, q)
			for j := range side {
				exclusiveOr(c, s.at(s.row, j, 0), flip, x)
				c.VPDPBUSD(q, x, sum[k+j])
			}
		}, func() {
			s.prefetch(side, size)
			loadRest()
			for j := range side {
				if b.mask != nil {
					c.VMOVDQU8_Z(s.at(s.row, j, 0), b.mask, x)
					c.VPXORQ(x, flip, x)
				} else {
					c.VPXOR(s.at(s.row, j, 0), flip, x)
				}
				c.VPDPBUSD(q, x, sum[k+j])
			}
			s.toNextRow(b)
		})
		c.ADDQ(s.stride, s.row) // from the end of the first of the two to that of the second
		c.ADDQ(s.stride, s.next)
	}
	c.VMOVDQU(foldRowsI32(c, sum), operand.Mem{Base: s.dst})
	s.nextGroup(4, 16, "group")
	c.VZEROUPPER()
	c.RET()
}

func rowsI8Widened(c *build.Context, name string, vector func() reg.VecVirtual) {
	function(c, name, rowsI8Signature)
	s, d := newScan(c, 1)
	q, x := vector(), vector()
	size := int(q.Size()) / 2
	b := newBlocks(c, d, size, map[int]int{32: 5, 16: 4}[size], size == 32)
	c.Label("group")
	s.start()
	sum := [4]reg.VecVirtual(zeros(c, vector, 4))
	add := func(k int) {
		c.VPMADDWD(x, q, x)
		c.VPADDD(x, sum[k], sum[k])
	}
	b.walk(s, "row", func() {
		s.prefetch(4, size)
		c.VPMOVSXBW(operand.Mem{Base: s.q}, q)
		for k := range sum {
			c.VPMOVSXBW(s.at(s.row, k, 0), x)
			add(k)
		}
	}, func() {
		s.prefetch(4, size)
		if b.mask != nil {
			c.VPMOVSXBW_Z(operand.Mem{Base: s.q}, b.mask, q)
		} else {
			c.VPMOVSXBW(operand.Mem{Base: s.q}, q)
			c.VPAND(b.keep, q, q)
		}
		for k := range sum {
			if b.mask != nil {
				c.VPMOVSXBW_Z(s.at(s.row, k, 0), b.mask, x)
			} else {
				c.VPMOVSXBW(s.at(s.row, k, 0), x)
			}
			add(k)
		}
	})
	c.VMOVDQU(foldRowsI32(c, sum), operand.Mem{Base: s.dst})
	s.nextGroup(4, 16, "group")
	c.VZEROUPPER()
	c.RET()
}

// foldRowsI32 adds up the int32 of each of four vectors and returns the four sums.
func foldRowsI32(c *build.Context, sum [4]reg.VecVirtual) reg.Register {
	upper := c.ZMM()
	if sum[0].Size() == 32 {
		upper = c.YMM()
	}
	for k := range 2 {
		c.VPUNPCKHDQ(sum[2*k+1], sum[2*k], upper)
		c.VPUNPCKLDQ(sum[2*k+1], sum[2*k], sum[2*k])
		c.VPADDD(upper, sum[2*k], sum[2*k])
	}
	total := sum[0]
	c.VPUNPCKHQDQ(sum[2], total, upper)
	c.VPUNPCKLQDQ(sum[2], total, total)
	c.VPADDD(upper, total, total)
	if total.Size() == 64 {
		c.VEXTRACTI64X4(operand.Imm(1), total, upper.AsY())
		c.VPADDD(upper.AsY(), total.AsY(), total.AsY())
	}
	c.VEXTRACTI128(operand.Imm(1), total.AsY(), upper.AsX())
	c.VPADDD(upper.AsX(), total.AsX(), total.AsX())
	return total.AsX()
}
