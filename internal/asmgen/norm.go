package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// norm writes the stages of package quant that look at whole rows: those that make states, and bytes of
// float32 and of int16. Each function takes one block of four rows.
func norm(c *build.Context) {
	at := constants(c, "norm", 1, 1e-8, 255, 1./255, float32(math.Inf(1)), float32(math.Inf(-1)))
	k := rowConstants{one: at[0], least: at[1], most: at[2], perByte: at[3], high: at[4], low: at[5]}
	k.firsts = dwords(c, "normFirsts", 0, 4, 8, 12)
	embedAVX512(c)
	normAVX512(c, k)
	contextBytesAVX512(c, k)
	innerBytesAVX512(c)
}

type rowConstants struct {
	one, least, most, perByte, high, low operand.Mem
	firsts                               operand.Mem // the places of the first element of each quarter
}

// dwords writes numbers of 32 bits as data.
func dwords(c *build.Context, name string, values ...uint32) operand.Mem {
	data := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, v := range values {
		c.AddDatum(4*i, operand.U32(v))
	}
	return data
}

// fourRows are registers of one row each.
type fourRows [4]reg.VecVirtual

func newFourRows(c *build.Context) (x fourRows) {
	for r := range x {
		x[r] = c.ZMM()
	}
	return x
}

// set loads one value into all lanes.
func (x fourRows) set(c *build.Context, value operand.Mem) {
	c.VBROADCASTSS(value, x[0])
	for _, y := range x[1:] {
		c.VMOVAPS(x[0], y)
	}
}

// quarters combines the registers lane by lane, the upper half of each with its lower one and so on until
// four lanes are left: quarter r of the result has those of row r.
func (x fourRows) quarters(c *build.Context, combine func(...operand.Op)) reg.VecVirtual {
	ab := halves(c, x[0], x[1], 0x44, 0xee, c.VSHUFF64X2, combine)
	cd := halves(c, x[2], x[3], 0x44, 0xee, c.VSHUFF64X2, combine)
	return halves(c, ab, cd, 0x88, 0xdd, c.VSHUFF64X2, combine)
}

// reduce goes on from quarters until every lane has what its row's lanes combine to.
func (x fourRows) reduce(c *build.Context, combine func(...operand.Op)) reg.VecVirtual {
	all, other := x.quarters(c, combine), c.ZMM()
	for _, swap := range []operand.U8{0x4e, 0xb1} {
		c.VPERMILPS(swap, all, other)
		combine(other, all, all)
	}
	return all
}

// spread makes a register a row of the quarters of x.
func spread(c *build.Context, x reg.VecVirtual) fourRows {
	rows := newFourRows(c)
	for r := range rows {
		c.VSHUFF64X2(operand.U8(r*0x55), x, x, rows[r])
	}
	return rows
}

// quanta is package quant's newRowQuanta: it stores scales and lows of four rows and returns what a value
// is to be multiplied by, and what is added to it.
func (k rowConstants) quanta(c *build.Context, low, high fourRows, scale, lowest reg.GPVirtual) (inverse, offset fourRows) {
	least, most := low.reduce(c, c.VMINPS), high.reduce(c, c.VMAXPS)
	width, negative, factor, zero := c.ZMM(), c.ZMM(), c.ZMM(), c.ZMM()
	c.VPXORD(zero, zero, zero)
	c.VSUBPS(least, most, width)
	c.VMAXPS_BCST(k.least, width, width)
	c.VSUBPS(least, zero, negative)
	c.VBROADCASTSS(k.most, factor)
	c.VDIVPS(width, factor, factor)
	inverse = spread(c, factor)
	c.VMULPS(factor, negative, factor)
	offset = spread(c, factor)
	firsts := c.XMM()
	c.VMOVDQU(k.firsts, firsts)
	c.VMULPS_BCST(k.perByte, width, width)
	c.VPERMPS(width, firsts.AsZ(), width)
	c.VMOVUPS(width.AsX(), operand.Mem{Base: scale})
	c.VSUBPS(negative, zero, negative)
	c.VPERMPS(negative, firsts.AsZ(), negative)
	c.VMOVUPS(negative.AsX(), operand.Mem{Base: lowest})
	return inverse, offset
}

// storeBytes rounds sixteen columns of four rows, cuts them to bytes and stores them.
func (x fourRows) storeBytes(c *build.Context, inverse, offset fourRows, to operand.Mem) {
	for r := range x {
		c.VFMADD213PS(offset[r], inverse[r], x[r])
		c.VCVTPS2DQ(x[r], x[r])
	}
	c.VPACKSSDW(x[1], x[0], x[0])
	c.VPACKSSDW(x[3], x[2], x[2])
	c.VPACKUSWB(x[2], x[0], x[0])
	c.VMOVDQU32(x[0], to)
}

// quarter is the address of sixteen columns of row r of the state layout, turn being the first of them.
func quarter(state, turn reg.GPVirtual, r int) operand.Mem {
	return operand.Mem{Base: state, Index: turn, Scale: 4, Disp: 64 * r}
}

// columnsLoop runs body for every sixteen columns: turn counts in bytes of one of four rows of float32, or of
// four rows of bytes.
func columnsLoop(c *build.Context, label string, columns reg.GPVirtual, body func(turn reg.GPVirtual)) {
	turn := c.GP64()
	c.XORQ(turn, turn)
	c.Label(label)
	body(turn)
	c.ADDQ(operand.Imm(64), turn)
	c.CMPQ(turn, columns)
	c.JLT(operand.LabelRef(label))
}

func normAVX512(c *build.Context, k rowConstants) {
	function(c, "normAVX512", "func(state, gain, bias, smooth *float32, bytes *uint8, scale, low *float32, columns int, share, epsilon float32)")
	state, columns := argument(c, "state"), argument(c, "columns")
	c.SHLQ(operand.Imm(2), columns)
	sums, squares := newFourRows(c), newFourRows(c)
	for r := range sums {
		c.VPXORD(sums[r], sums[r], sums[r])
		c.VPXORD(squares[r], squares[r], squares[r])
	}
	x := newFourRows(c)
	columnsLoop(c, "sums", columns, func(turn reg.GPVirtual) {
		for r := range x {
			c.VMOVUPS(quarter(state, turn, r), x[r])
			c.VADDPS(x[r], sums[r], sums[r])
			c.VFMADD231PS(x[r], x[r], squares[r])
		}
	})
	share, epsilon := broadcast(c, "share", c.ZMM), broadcast(c, "epsilon", c.ZMM)
	mean, variance := sums.reduce(c, c.VADDPS), squares.reduce(c, c.VADDPS)
	square, zero, factor := c.ZMM(), c.ZMM(), c.ZMM()
	c.VPXORD(zero, zero, zero)
	c.VMULPS(share, mean, mean)
	c.VMULPS(share, variance, variance)
	c.VMULPS(mean, mean, square)
	c.VSUBPS(square, variance, variance)
	c.VMAXPS(zero, variance, variance)
	c.VADDPS(epsilon, variance, variance)
	c.VSQRTPS(variance, variance)
	c.VBROADCASTSS(k.one, factor)
	c.VDIVPS(variance, factor, factor)
	c.VSUBPS(mean, zero, mean)
	c.VMULPS(factor, mean, mean)
	inverse, shift := spread(c, factor), spread(c, mean)

	gain, bias, smooth := argument(c, "gain"), argument(c, "bias"), argument(c, "smooth")
	g, b, s := c.ZMM(), c.ZMM(), c.ZMM()
	normalise := func(turn reg.GPVirtual) {
		c.VMOVUPS(operand.Mem{Base: gain, Index: turn, Scale: 1}, g)
		c.VMOVUPS(operand.Mem{Base: bias, Index: turn, Scale: 1}, b)
		for r := range x {
			c.VMOVUPS(quarter(state, turn, r), x[r])
			c.VFMADD213PS(shift[r], inverse[r], x[r])
			c.VFMADD213PS(b, g, x[r])
			c.VMOVUPS(x[r], quarter(state, turn, r))
		}
	}
	c.TESTQ(smooth, smooth)
	c.JNZ(operand.LabelRef("more"))
	columnsLoop(c, "last", columns, normalise)
	c.VZEROUPPER()
	c.RET()

	c.Label("more")
	low, high := newFourRows(c), newFourRows(c)
	low.set(c, k.high)
	high.set(c, k.low)
	columnsLoop(c, "states", columns, func(turn reg.GPVirtual) {
		normalise(turn)
		c.VMOVUPS(operand.Mem{Base: smooth, Index: turn, Scale: 1}, s)
		for r := range x {
			c.VMULPS(s, x[r], x[r])
			c.VMINPS(x[r], low[r], low[r])
			c.VMAXPS(x[r], high[r], high[r])
		}
	})
	inverse, offset := k.quanta(c, low, high, argument(c, "scale"), argument(c, "low"))
	bytes := argument(c, "bytes")
	columnsLoop(c, "bytes", columns, func(turn reg.GPVirtual) {
		c.VMOVUPS(operand.Mem{Base: smooth, Index: turn, Scale: 1}, s)
		for r := range x {
			c.VMULPS(quarter(state, turn, r), s, x[r])
		}
		x.storeBytes(c, inverse, offset, operand.Mem{Base: bytes, Index: turn, Scale: 1})
	})
	c.VZEROUPPER()
	c.RET()
}

func contextBytesAVX512(c *build.Context, k rowConstants) {
	function(c, "contextBytesAVX512", "func(bytes *uint8, scale, low, context *float32, columns int)")
	context, columns := argument(c, "context"), argument(c, "columns")
	c.SHLQ(operand.Imm(2), columns)
	low, high, x := newFourRows(c), newFourRows(c), newFourRows(c)
	low.set(c, k.high)
	high.set(c, k.low)
	columnsLoop(c, "range", columns, func(turn reg.GPVirtual) {
		for r := range x {
			c.VMOVUPS(quarter(context, turn, r), x[r])
			c.VMINPS(x[r], low[r], low[r])
			c.VMAXPS(x[r], high[r], high[r])
		}
	})
	inverse, offset := k.quanta(c, low, high, argument(c, "scale"), argument(c, "low"))
	bytes := argument(c, "bytes")
	columnsLoop(c, "bytes", columns, func(turn reg.GPVirtual) {
		for r := range x {
			c.VMOVUPS(quarter(context, turn, r), x[r])
		}
		x.storeBytes(c, inverse, offset, operand.Mem{Base: bytes, Index: turn, Scale: 1})
	})
	c.VZEROUPPER()
	c.RET()
}

// innerBytesAVX512 divides as float32: of whole numbers below 2^23, the rounded quotient has the same whole
// part as the exact one where that is below 2^15.
func innerBytesAVX512(c *build.Context) {
	order := c.StaticGlobal("innerOrder")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 { // four times the word of one row, four times that of the next
		row := uint16(i / 4)
		c.AddDatum(2*i, operand.U16(4*row|(4*row+1)<<8))
	}
	at := constants(c, "inner", 255*32768, math.Float32frombits(260))
	function(c, "innerBytesAVX512", "func(inner, greatest *int16, scale *float32, columns int, unit float32)")
	inner, greatest, columns := argument(c, "inner"), argument(c, "greatest"), argument(c, "columns")
	c.SHLQ(operand.Imm(2), columns)
	x, y := c.ZMM(), c.ZMM()
	c.VMOVDQU64(operand.Mem{Base: greatest}, x)
	c.VMOVDQU64(operand.Mem{Base: greatest, Disp: 64}, y)
	x = halves(c, x, y, 0x44, 0xee, c.VSHUFI64X2, c.VPMAXSW)
	x = halves(c, x, x, 0x88, 0xdd, c.VSHUFI64X2, c.VPMAXSW)
	combineWords(c, x, c.VPMAXSW)
	most, factor := signedWords(c, x).AsX(), c.XMM()
	c.VPMAXSD_BCST(at[1], most, most)
	c.VCVTDQ2PS(most, most)
	c.VBROADCASTSS(at[0], factor)
	c.VDIVPS(most, factor, factor)
	c.VCVTTPS2DQ(factor, factor)
	scale := broadcast(c, "unit", c.XMM)
	c.VCVTDQ2PS(factor, most)
	c.VDIVPS(most, scale, scale)
	c.VMOVUPS(scale, operand.Mem{Base: argument(c, "scale")})
	var factors [2]reg.VecVirtual // of two rows each, as the words stand
	for i := range factors {
		factors[i] = c.ZMM()
		c.VPSHUFB(order.Offset(16*i), factor, factors[i].AsX())
		c.VSHUFI64X2(operand.U8(0), factors[i], factors[i], factors[i])
	}
	columnsLoop(c, "columns", columns, func(turn reg.GPVirtual) {
		for i, v := range []reg.VecVirtual{x, y} {
			c.VPMULHRSW(operand.Mem{Base: inner, Index: turn, Scale: 2, Disp: 64 * i}, factors[i], v)
		}
		c.VPACKUSWB(y, x, x)
		c.VMOVDQU64(x, operand.Mem{Base: inner, Index: turn, Scale: 1})
	})
	c.VZEROUPPER()
	c.RET()
}

// halves combines the quarters of a that lower and upper name, and those of b beside them.
func halves(c *build.Context, a, b reg.VecVirtual, lower, upper operand.U8, shuffle, combine func(...operand.Op)) reg.VecVirtual {
	l, u := c.ZMM(), c.ZMM()
	shuffle(lower, b, a, l)
	shuffle(upper, b, a, u)
	combine(u, l, l)
	return l
}

// combineWords leaves what four words combine to in the first of them, for each four.
func combineWords(c *build.Context, x reg.VecVirtual, combine func(...operand.Op)) {
	other := c.ZMM()
	for _, shift := range []operand.U8{32, 16} {
		c.VPSRLQ(shift, x, other)
		combine(other, x, x)
	}
}

// signedWords returns the first of each four words, as numbers of 32 bits.
func signedWords(c *build.Context, x reg.VecVirtual) reg.VecVirtual {
	y := c.ZMM()
	c.VPSLLQ(operand.U8(48), x, y)
	c.VPSRAQ(operand.U8(48), y, y)
	c.VPMOVQD(y, y.AsY())
	return y
}

// embedAVX512 adds words and positions, and fetches words that another block will need. The rows are those of
// package quant's embedRows.
func embedAVX512(c *build.Context) {
	function(c, "embedAVX512", "func(state *float32, rows *[12]uint64, columns int)")
	state, rows, columns := argument(c, "state"), argument(c, "rows"), argument(c, "columns")
	var words, positions [4]reg.GPVirtual
	for r := range 4 {
		words[r], positions[r] = c.GP64(), c.GP64()
		c.MOVQ(operand.Mem{Base: rows, Disp: 8 * r}, words[r])
		c.MOVQ(operand.Mem{Base: rows, Disp: 32 + 8*r}, positions[r])
	}
	c.SHLQ(operand.Imm(1), columns)
	turn, ahead, x := c.GP64(), c.GP64(), c.ZMM()
	c.XORQ(turn, turn)
	c.Label("loop")
	for r := range 4 {
		c.MOVQ(operand.Mem{Base: rows, Disp: 64 + 8*r}, ahead)
		c.PREFETCHT0(operand.Mem{Base: ahead, Index: turn, Scale: 1})
		for i := range 2 {
			c.VCVTPH2PS(operand.Mem{Base: words[r], Index: turn, Scale: 1, Disp: 32 * i}, x)
			c.VADDPS(operand.Mem{Base: positions[r], Index: turn, Scale: 2, Disp: 64 * i}, x, x)
			c.VMOVUPS(x, operand.Mem{Base: state, Index: turn, Scale: 8, Disp: 256*i + 64*r})
		}
	}
	c.ADDQ(operand.Imm(64), turn)
	c.CMPQ(turn, columns)
	c.JLT(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}
