package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// hamming writes the number of bits in which two vectors of words differ, and the same for one vector
// and each row of a matrix.
func hamming(c *build.Context) {
	bitCounts(c)
	firstWords(c)
	for _, h := range []struct {
		level  string
		vector func() reg.VecVirtual
		count  counter
	}{
		{"AVX512VPOPCNTDQ", c.ZMM, countWords},
		{"AVX512", c.ZMM, countNibbles},
		{"AVX2", c.YMM, countNibbles},
	} {
		hammingU64(c, "hammingU64"+h.level, h.vector, h.count)
		hammingRowsU64(c, "hammingRowsU64"+h.level, h.vector, h.count)
	}
}

// A counter begins with what it needs and returns what replaces the words of x by the number of their bits.
type counter = func(c *build.Context, vector func() reg.VecVirtual) func(x reg.VecVirtual)

func countWords(c *build.Context, _ func() reg.VecVirtual) func(x reg.VecVirtual) {
	return func(x reg.VecVirtual) { c.VPOPCNTQ(x, x) }
}

// countNibbles looks each half of a byte up.
func countNibbles(c *build.Context, vector func() reg.VecVirtual) func(x reg.VecVirtual) {
	table, zero, low := vector(), zeros(c, vector, 1)[0], repeat(c, vector, 0x0f0f0f0f)
	m := operand.NewDataAddr(operand.NewStaticSymbol("bitCounts"), 0)
	high := vector()
	if low.Size() == 64 {
		c.VBROADCASTI32X4(m, table)
		return func(x reg.VecVirtual) {
			c.VPSRLW(operand.Imm(4), x, high)
			c.VPANDD(x, low, x)
			c.VPANDD(high, low, high)
			addNibbles(c, table, zero, x, high)
		}
	}
	c.VBROADCASTI128(m, table)
	return func(x reg.VecVirtual) {
		c.VPSRLW(operand.Imm(4), x, high)
		c.VPAND(x, low, x)
		c.VPAND(high, low, high)
		addNibbles(c, table, zero, x, high)
	}
}

func addNibbles(c *build.Context, table, zero, x, high reg.VecVirtual) {
	c.VPSHUFB(x, table, x)
	c.VPSHUFB(high, table, high)
	c.VPADDB(high, x, x)
	c.VPSADBW(zero, x, x)
}

// bitCounts writes the table of the number of bits in 0 to 15, once a file.
func bitCounts(c *build.Context) {
	c.StaticGlobal("bitCounts")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	c.AddDatum(0, operand.U64(0x0302020102010100))
	c.AddDatum(8, operand.U64(0x0403030203020201))
}

// firstOf returns what loads the first n words of a vector, n less than it has, and zeros after them.
func firstOf(c *build.Context, n reg.GPVirtual, vector func() reg.VecVirtual) func(m operand.Mem, x reg.VecVirtual) {
	mask := vector()
	if mask.Size() == 64 {
		k := firstBits(c, n)
		return func(m operand.Mem, x reg.VecVirtual) { c.VMOVDQU64_Z(m, k, x) }
	}
	keepFirst(c, n, 3, mask)
	return func(m operand.Mem, x reg.VecVirtual) { c.VPMASKMOVQ(m, mask, x) }
}

func hammingU64(c *build.Context, name string, vector func() reg.VecVirtual, begin counter) {
	function(c, name, "func(a, b *uint64, n int) int")
	p := newPair(c)
	count := begin(c, vector)
	sum := zeros(c, vector, 4)
	x, y := vector(), vector()
	size := int(x.Size())
	c.SHLQ(operand.Imm(3), p.n)
	p.walk(size, func(i, offset int) {
		move(c, operand.Mem{Base: p.a, Disp: offset}, x)
		exclusiveOr(c, operand.Mem{Base: p.b, Disp: offset}, x, x)
		count(x)
		c.VPADDQ(x, sum[i], sum[i])
	}, func() {
		c.SHRQ(operand.Imm(3), p.n)
		load := firstOf(c, p.n, vector)
		load(operand.Mem{Base: p.a}, x)
		load(operand.Mem{Base: p.b}, y)
		exclusiveOr(c, y, x, x)
		count(x)
		c.VPADDQ(x, sum[3], sum[3])
	})
	c.VPADDQ(sum[2], sum[0], sum[0])
	c.VPADDQ(sum[3], sum[1], sum[1])
	c.VPADDQ(sum[1], sum[0], sum[0])
	total, upper := sum[0], x
	if size == 64 {
		c.VEXTRACTI64X4(operand.Imm(1), total, upper.AsY())
		c.VPADDQ(upper.AsY(), total.AsY(), total.AsY())
	}
	c.VEXTRACTI128(operand.Imm(1), total.AsY(), upper.AsX())
	c.VPADDQ(upper.AsX(), total.AsX(), total.AsX())
	c.VPSHUFD(operand.Imm(0x4e), total.AsX(), upper.AsX())
	c.VPADDQ(upper.AsX(), total.AsX(), total.AsX())
	result := c.GP64()
	c.VMOVQ(total.AsX(), result)
	c.Store(result, c.ReturnIndex(0))
	c.VZEROUPPER()
	c.RET()
}

// hammingRowsU64 takes as many rows at a time as a vector has words, so that the words of the sums,
// transposed, are the results.
func hammingRowsU64(c *build.Context, name string, vector func() reg.VecVirtual, begin counter) {
	function(c, name, "func(dst *int32, q, rows *uint64, n, d, ahead int)")
	s, rest := newScan(c, 8)
	q, qRest := vector(), vector()
	size := int(q.Size())
	group := size / 8
	full, shift := c.GP64(), map[int]int{8: 3, 4: 2}[group]
	c.MOVQ(rest, full)
	c.SHRQ(operand.U8(shift), full)
	c.ANDQ(operand.U32(group-1), rest)
	load := firstOf(c, rest, vector)
	count := begin(c, vector)
	// The rest of the query stays in a register.
	last := c.GP64()
	c.MOVQ(full, last)
	c.SHLQ(operand.U8(shift+3), last)
	c.ADDQ(s.queryFrom, last)
	load(operand.Mem{Base: last}, qRest)

	// Rows 4 to 7 are seen from row 4.
	row4 := c.GP64()
	c.Label("group")
	s.start()
	if group == 8 {
		c.LEAQ(operand.Mem{Base: s.row, Index: s.stride, Scale: 4}, row4)
	}
	at := func(k int) operand.Mem {
		if k >= 4 {
			return s.at(row4, k-4, 0)
		}
		return s.at(s.row, k, 0)
	}
	sum := make([]reg.VecVirtual, group)
	x := vector()
	for k := range sum {
		sum[k] = vector()
	}
	c.TESTQ(full, full)
	c.JE(operand.LabelRef("short"))
	for k := range sum {
		exclusiveOr(c, sum[k], sum[k], sum[k])
	}
	blocks := c.GP64()
	c.MOVQ(full, blocks)
	c.Label("block")
	move(c, operand.Mem{Base: s.q}, q)
	s.prefetch(4, size)
	for k := range sum {
		exclusiveOr(c, at(k), q, x)
		count(x)
		c.VPADDQ(x, sum[k], sum[k])
	}
	if group == 8 {
		c.ADDQ(operand.U32(size), row4)
	}
	s.along(size, size)
	c.DECQ(blocks)
	c.JNE(operand.LabelRef("block"))
	c.TESTQ(rest, rest)
	c.JE(operand.LabelRef("fold"))
	for k := range sum {
		load(at(k), x)
		exclusiveOr(c, x, qRest, x)
		count(x)
		c.VPADDQ(x, sum[k], sum[k])
	}
	c.JMP(operand.LabelRef("fold"))

	// Rows shorter than a vector, the common case, have no sums to add to.
	c.Label("short")
	for k := range sum {
		load(at(k), sum[k])
		exclusiveOr(c, sum[k], qRest, sum[k])
		count(sum[k])
	}
	s.prefetch(4, size)
	c.Label("fold")
	if group == 8 {
		foldRowsU64AVX512(c, sum, x)
		c.VPMOVQD(sum[0], sum[0].AsY())
		c.VMOVDQU(sum[0].AsY(), operand.Mem{Base: s.dst})
	} else {
		foldRowsU64AVX2(c, sum, x)
		c.VMOVDQU(sum[0].AsX(), operand.Mem{Base: s.dst})
	}
	s.nextGroup(group, 4*group, "group")
	c.VZEROUPPER()
	c.RET()
}

// foldRowsU64AVX512 adds up the words of each of eight vectors and leaves the sums in the first.
func foldRowsU64AVX512(c *build.Context, sum []reg.VecVirtual, upper reg.VecVirtual) {
	for k := 0; k < 8; k += 2 {
		c.VPUNPCKHQDQ(sum[k+1], sum[k], upper)
		c.VPUNPCKLQDQ(sum[k+1], sum[k], sum[k])
		c.VPADDQ(upper, sum[k], sum[k])
	}
	for distance := 2; distance < 8; distance *= 2 {
		for k := 0; k < 8; k += 2 * distance {
			c.VSHUFI64X2(operand.Imm(0xdd), sum[k+distance], sum[k], upper)
			c.VSHUFI64X2(operand.Imm(0x88), sum[k+distance], sum[k], sum[k])
			c.VPADDQ(upper, sum[k], sum[k])
		}
	}
}

// foldRowsU64AVX2 adds up the words of each of four vectors and leaves the sums, narrowed to int32, in
// the first.
func foldRowsU64AVX2(c *build.Context, sum []reg.VecVirtual, upper reg.VecVirtual) {
	for k := 0; k < 4; k += 2 {
		c.VPUNPCKHQDQ(sum[k+1], sum[k], upper)
		c.VPUNPCKLQDQ(sum[k+1], sum[k], sum[k])
		c.VPADDQ(upper, sum[k], sum[k])
	}
	c.VPERM2I128(operand.Imm(0x31), sum[2], sum[0], upper)
	c.VPERM2I128(operand.Imm(0x20), sum[2], sum[0], sum[0])
	c.VPADDQ(upper, sum[0], sum[0])
	c.VEXTRACTI128(operand.Imm(1), sum[0], upper.AsX())
	c.VSHUFPS(operand.Imm(0x88), upper.AsX(), sum[0].AsX(), sum[0].AsX())
}
