package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rows writes the float32 reductions of one vector with each row of a matrix, in the order of
// simd.DotF32. With AVX-512 four rows are taken at a time, so that the query is loaded once for four;
// AVX2 has registers for the partial sums of one row.
func rows(c *build.Context) {
	firstWords(c)
	for _, r := range []rowsFloat{dotF32Rows, l2F32Rows, dotF16Rows} {
		r.avx512(c)
		r.avx2(c)
	}
}

// A scan walks over the rows of a matrix, row after row, and along them.
type scan struct {
	c         *build.Context
	dst, rows reg.GPVirtual // of the next group of rows
	n         reg.GPVirtual // rows left
	stride    reg.GPVirtual // bytes of a row
	stride3   reg.GPVirtual
	row, q    reg.GPVirtual // where the group's rows and the query are read
	next      reg.GPVirtual // what will be read soon
	queryFrom reg.GPVirtual
	ahead     reg.GPVirtual
}

func newScan(c *build.Context, elemBytes int) (s scan, d reg.GPVirtual) {
	load := func(name string) reg.GPVirtual { return c.Load(c.Param(name), c.GP64()).(reg.GPVirtual) }
	s = scan{c: c, dst: load("dst"), queryFrom: load("q"), rows: load("rows"), n: load("n"), ahead: load("ahead"),
		stride: c.GP64(), stride3: c.GP64(), row: c.GP64(), q: c.GP64(), next: c.GP64()}
	d = load("d")
	c.MOVQ(d, s.stride)
	c.IMUL3Q(operand.U32(elemBytes), s.stride, s.stride)
	c.LEAQ(operand.Mem{Base: s.stride, Index: s.stride, Scale: 2}, s.stride3)
	return s, d
}

// start goes to the beginning of the group's rows and of the query.
func (s scan) start() {
	s.c.MOVQ(s.rows, s.row)
	s.c.LEAQ(operand.Mem{Base: s.rows, Index: s.ahead, Scale: 1}, s.next)
	s.c.MOVQ(s.queryFrom, s.q)
}

// along moves on by so many bytes of the query and of each row.
func (s scan) along(query, row int) {
	s.c.ADDQ(operand.U32(query), s.q)
	s.c.ADDQ(operand.U32(row), s.row)
	s.c.ADDQ(operand.U32(row), s.next)
}

// at returns the place in row r of the group, 0 to 3, seen from where row 0 is read.
func (s scan) at(from reg.GPVirtual, r, offset int) operand.Mem {
	m := operand.Mem{Base: from, Disp: offset}
	switch r {
	case 1, 2:
		m.Index, m.Scale = s.stride, uint8(r)
	case 3:
		m.Index, m.Scale = s.stride3, 1
	}
	return m
}

// prefetch asks for the lines that are as far ahead of the next bytes of each row as was said. Rows that
// lie beyond the last are not there, which does no harm.
func (s scan) prefetch(group, bytes int) {
	for r := range group {
		for offset := 0; offset < bytes; offset += 64 {
			s.c.PREFETCHT0(s.at(s.next, r, offset))
		}
	}
}

// nextGroup jumps to label while there are rows left; results take so many bytes.
func (s scan) nextGroup(group, results int, label string) {
	c := s.c
	c.LEAQ(operand.Mem{Base: s.rows, Index: s.stride, Scale: uint8(group)}, s.rows)
	c.ADDQ(operand.U32(results), s.dst)
	c.SUBQ(operand.U32(group), s.n)
	c.JNE(operand.LabelRef(label))
}

// rowsFloat is a reduction with rows. A term makes x of q and x, rounding every step.
type rowsFloat struct {
	name  string
	bytes int // of an element of the rows
	term  func(c *build.Context, q, x reg.VecVirtual)
}

var (
	dotF32Rows = rowsFloat{"dotRowsF32", 4, multiplyRows}
	dotF16Rows = rowsFloat{"dotRowsF16", 2, multiplyRows}
	l2F32Rows  = rowsFloat{"l2RowsF32", 4, func(c *build.Context, q, x reg.VecVirtual) {
		c.VSUBPS(x, q, x)
		c.VMULPS(x, x, x)
	}}
)

func multiplyRows(c *build.Context, q, x reg.VecVirtual) { c.VMULPS(x, q, x) }

func (r rowsFloat) begin(c *build.Context, level string) (s scan, full, rest reg.GPVirtual) {
	c.Function(r.name + level)
	attributes := attr.NOSPLIT
	if level == "AVX512" {
		attributes |= attr.NOFRAME
	}
	c.Attributes(attributes)
	element := map[int]string{4: "float32", 2: "uint16"}[r.bytes]
	c.SignatureExpr("func(dst, q *float32, rows *" + element + ", n, d, ahead int)")
	s, rest = newScan(c, r.bytes)
	full = c.GP64()
	c.MOVQ(rest, full)
	c.SHRQ(operand.Imm(6), full)
	c.ANDQ(operand.Imm(63), rest)
	return s, full, rest
}

// load reads elements of a row as float32.
func (r rowsFloat) load(c *build.Context, m operand.Mem, x reg.VecVirtual) {
	if r.bytes == 2 {
		c.VCVTPH2PS(m, x)
	} else {
		c.VMOVUPS(m, x)
	}
}

func (r rowsFloat) avx512(c *build.Context) {
	s, full, rest := r.begin(c, "AVX512")
	var mask [4]reg.OpmaskVirtual
	bits := c.GP64()
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(rest, bits, bits)
	for i := range mask {
		mask[i] = c.K()
		c.KMOVW(bits.As32(), mask[i])
		c.SHRQ(operand.Imm(16), bits)
	}
	c.Label("group")
	s.start()
	var sum [4][]reg.VecVirtual
	for k := range sum {
		sum[k] = zeros(c, c.ZMM, 4)
	}
	count := c.GP64()
	c.MOVQ(full, count)
	c.TESTQ(count, count)
	c.JE(operand.LabelRef("rest"))
	c.Label("block")
	q, x := c.ZMM(), [4]reg.VecVirtual{c.ZMM(), c.ZMM(), c.ZMM(), c.ZMM()}
	s.prefetch(4, 64*r.bytes)
	for i := range 4 {
		c.VMOVUPS(operand.Mem{Base: s.q, Disp: 64 * i}, q)
		for k := range sum {
			r.load(c, s.at(s.row, k, 16*r.bytes*i), x[k])
			r.term(c, q, x[k])
			c.VADDPS(x[k], sum[k][i], sum[k][i])
		}
	}
	s.along(256, 64*r.bytes)
	c.DECQ(count)
	c.JNE(operand.LabelRef("block"))

	// Elements that a mask leaves out are zeros in both: they add 0 to sums that are never -0.
	c.Label("rest")
	c.TESTQ(rest, rest)
	c.JE(operand.LabelRef("fold"))
	s.prefetch(4, 64)
	for i := range 4 {
		c.VMOVUPS_Z(operand.Mem{Base: s.q, Disp: 64 * i}, mask[i], q)
		for k := range sum {
			m := s.at(s.row, k, 16*r.bytes*i)
			if r.bytes == 2 {
				c.VCVTPH2PS_Z(m, mask[i], x[k])
			} else {
				c.VMOVUPS_Z(m, mask[i], x[k])
			}
			r.term(c, q, x[k])
			c.VADDPS(x[k], sum[k][i], sum[k][i])
		}
	}
	c.Label("fold")
	foldRowsF32AVX512(c, sum)
	c.VMOVUPS(sum[0][0].AsX(), operand.Mem{Base: s.dst})
	s.nextGroup(4, 16, "group")
	c.VZEROUPPER()
	c.RET()
}

// foldRowsF32AVX512 adds the 64 partial sums of each of four rows up, in the order of foldF32AVX512, the
// last of them side by side, and leaves the four in the lowest lanes of the first register.
func foldRowsF32AVX512(c *build.Context, sum [4][]reg.VecVirtual) {
	var s [4]reg.VecVirtual
	for k := range sum {
		c.VADDPS(sum[k][2], sum[k][0], sum[k][0])
		c.VADDPS(sum[k][3], sum[k][1], sum[k][1])
		c.VADDPS(sum[k][1], sum[k][0], sum[k][0])
		s[k] = sum[k][0]
	}
	upper := c.ZMM()
	for k := range 2 { // 8 lanes each of rows 0 and 1, then of 2 and 3
		c.VSHUFF32X4(operand.Imm(0xee), s[2*k+1], s[2*k], upper)
		c.VSHUFF32X4(operand.Imm(0x44), s[2*k+1], s[2*k], s[2*k])
		c.VADDPS(upper, s[2*k], s[2*k])
	}
	c.VSHUFF32X4(operand.Imm(0xdd), s[2], s[0], upper) // 4 lanes of each
	c.VSHUFF32X4(operand.Imm(0x88), s[2], s[0], s[0])
	c.VADDPS(upper, s[0], s[0])
	c.VPERMILPS(operand.Imm(0x4e), s[0], upper)
	c.VADDPS(upper, s[0], s[0])
	c.VMOVSHDUP(s[0], upper)
	c.VADDPS(upper, s[0], s[0]) // the first lane of each four
	c.VPMOVQD(s[0], s[0].AsY())
	c.VPMOVQD(s[0].AsY(), s[0].AsX())
}

func (r rowsFloat) avx2(c *build.Context) {
	s, full, rest := r.begin(c, "AVX2")
	partial := c.AllocLocal(256)
	halves := c.AllocLocal(16)
	c.Label("row")
	s.start()
	sum := zeros(c, c.YMM, 8)
	count := c.GP64()
	q, x := c.YMM(), c.YMM()
	c.MOVQ(full, count)
	c.TESTQ(count, count)
	c.JE(operand.LabelRef("rest"))
	c.Label("block")
	s.prefetch(1, 64*r.bytes)
	for i := range sum {
		c.VMOVUPS(operand.Mem{Base: s.q, Disp: 32 * i}, q)
		r.load(c, s.at(s.row, 0, 8*r.bytes*i), x)
		r.term(c, q, x)
		c.VADDPS(x, sum[i], sum[i])
	}
	s.along(256, 64*r.bytes)
	c.DECQ(count)
	c.JNE(operand.LabelRef("block"))

	// The rest of 1 to 63 elements: which partial sums it goes to is not known here, so they go to memory.
	c.Label("rest")
	c.TESTQ(rest, rest)
	c.JE(operand.LabelRef("fold"))
	for i := range sum {
		c.VMOVUPS(sum[i], partial.Offset(32*i))
	}
	to, left := c.GP64(), c.GP64()
	c.LEAQ(partial, to)
	c.MOVQ(rest, left)
	c.CMPQ(left, operand.Imm(8))
	c.JL(operand.LabelRef("last"))
	c.Label("eight")
	c.VMOVUPS(operand.Mem{Base: s.q}, q)
	r.load(c, s.at(s.row, 0, 0), x)
	r.addToMemory(c, q, x, to)
	s.along(32, 8*r.bytes)
	c.ADDQ(operand.Imm(32), to)
	c.SUBQ(operand.Imm(8), left)
	c.CMPQ(left, operand.Imm(8))
	c.JGE(operand.LabelRef("eight"))
	c.Label("last")
	c.TESTQ(left, left)
	c.JE(operand.LabelRef("reload"))
	r.loadFirst(c, s, left, halves, q, x)
	r.addToMemory(c, q, x, to)
	c.Label("reload")
	for i := range sum {
		c.VMOVUPS(partial.Offset(32*i), sum[i])
	}
	c.Label("fold")
	for n := 4; n > 0; n /= 2 {
		for i := range n {
			c.VADDPS(sum[i+n], sum[i], sum[i])
		}
	}
	c.VEXTRACTF128(operand.Imm(1), sum[0], x.AsX())
	c.VADDPS(x.AsX(), sum[0].AsX(), sum[0].AsX())
	c.VPERMILPS(operand.Imm(0x4e), sum[0].AsX(), x.AsX())
	c.VADDPS(x.AsX(), sum[0].AsX(), sum[0].AsX())
	c.VMOVSHDUP(sum[0].AsX(), x.AsX())
	c.VADDPS(x.AsX(), sum[0].AsX(), sum[0].AsX())
	c.VMOVSS(sum[0].AsX(), operand.Mem{Base: s.dst})
	s.nextGroup(1, 4, "row")
	c.VZEROUPPER()
	c.RET()
}

func (r rowsFloat) addToMemory(c *build.Context, q, x reg.VecVirtual, to reg.GPVirtual) {
	r.term(c, q, x)
	c.VADDPS(operand.Mem{Base: to}, x, x)
	c.VMOVUPS(x, operand.Mem{Base: to})
}

// loadFirst loads the first 1 to 7 elements of the query and of the row, zeros after them.
func (r rowsFloat) loadFirst(c *build.Context, s scan, n reg.GPVirtual, halves operand.Mem, q, x reg.VecVirtual) {
	mask := c.YMM()
	keepFirst(c, n, 2, mask)
	c.VMASKMOVPS(operand.Mem{Base: s.q}, mask, q)
	if r.bytes == 4 {
		c.VMASKMOVPS(s.at(s.row, 0, 0), mask, x)
		return
	}
	// No instruction of AVX2 loads some of the halves.
	c.VPXOR(x.AsX(), x.AsX(), x.AsX())
	c.VMOVDQU(x.AsX(), halves)
	to, half := c.GP64(), c.GP64()
	c.LEAQ(halves, to)
	c.Label("half")
	c.MOVWLZX(operand.Mem{Base: s.row, Index: n, Scale: 2, Disp: -2}, half.As32())
	c.MOVW(half.As16(), operand.Mem{Base: to, Index: n, Scale: 2, Disp: -2})
	c.DECQ(n)
	c.JNE(operand.LabelRef("half"))
	c.VCVTPH2PS(halves, x)
}

// firstWords writes a table of 32 bytes of ones and 32 of zeros, once a file.
func firstWords(c *build.Context) {
	c.StaticGlobal("firstWords")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		word := ^operand.U64(0)
		if i >= 4 {
			word = 0
		}
		c.AddDatum(8*i, word)
	}
}

// keepFirst makes the mask of the first n words of 1<<shift bytes.
func keepFirst(c *build.Context, n reg.GPVirtual, shift int, mask reg.VecVirtual) {
	middle, bytes := c.GP64(), c.GP64()
	c.LEAQ(operand.NewDataAddr(operand.NewStaticSymbol("firstWords"), 32), middle)
	c.MOVQ(n, bytes)
	c.SHLQ(operand.U8(shift), bytes)
	c.SUBQ(bytes, middle)
	c.VMOVDQU(operand.Mem{Base: middle}, mask)
}
