package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// attention writes the attention of package quant: the functions named attend take whole heads, of so many
// components, for so many rows at a time.
func attention(c *build.Context) {
	k := attentionConstants{words: constants(c, "attention", math.Log2E, -120, 80,
		1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1,
		math.Float32frombits(127), 255, 32768)}
	for _, size := range []int{32, 64} {
		sumKeys(c, size)
		for _, blocks := range []int{2, 1} {
			newAttending(c, k, size, blocks).write()
		}
	}
}

// attentionConstants are what package quant's exp computes with, and others.
type attentionConstants struct{ words []operand.Mem }

func (k attentionConstants) log2e() operand.Mem          { return k.words[0] }
func (k attentionConstants) least() operand.Mem          { return k.words[1] }
func (k attentionConstants) most() operand.Mem           { return k.words[2] }
func (k attentionConstants) coefficients() []operand.Mem { return k.words[3:9] }
func (k attentionConstants) one() operand.Mem            { return k.words[8] }
func (k attentionConstants) bias() operand.Mem           { return k.words[9] }
func (k attentionConstants) scale() operand.Mem          { return k.words[10] }
func (k attentionConstants) half() operand.Mem           { return k.words[11] }

// The fields of package quant's attendArguments, of eight bytes each.
const (
	attendTable = 8 * iota
	attendBlocks
	attendHeads
	attendKeyBlocks
	attendQueries
	attendQueryStep
	attendKeys
	attendValues
	attendKeyStep
	attendStarts
	attendStartStep
	attendScores
	attendShares
	attendContext
	attendContextStep
	attendValueScale
	attendScoreUnit
	attendScoreStep
	attendSinkScore
	attendSinkScoreShift
	attendSinkValue
	attendSinkValueShift
	attendFirstScores
	attendLastScores
	attendFirstShares
	attendLastShares
	attendWeights
	attendInverses = attendWeights + 32
)

// attending is one of the functions being written.
type attending struct {
	*build.Context
	attentionConstants
	size   int // of a head
	blocks int // of four rows
	a      reg.GPVirtual
}

func newAttending(c *build.Context, k attentionConstants, size, blocks int) *attending {
	function(c, fmt.Sprintf("attend%dx%dVBMI", 4*blocks, size), "func(a *[34]uint64)")
	return &attending{c, k, size, blocks, argument(c, "a")}
}

// field loads a field.
func (f *attending) field(field int) reg.GPVirtual {
	r := f.GP64()
	f.MOVQ(operand.Mem{Base: f.a, Disp: field}, r)
	return r
}

func (f *attending) add(field int, bytes int) {
	f.ADDQ(operand.I32(bytes), operand.Mem{Base: f.a, Disp: field})
}

// zeros makes registers of zeros. An exclusive or would count as reading them, which would keep them from
// other use in the loops around.
func (f *attending) zeros(n int) []reg.VecVirtual {
	zero, z := f.GP32(), make([]reg.VecVirtual, n)
	f.XORL(zero, zero)
	for i := range z {
		z[i] = f.ZMM()
		if i == 0 {
			f.VPBROADCASTD(zero, z[0])
		} else {
			f.VMOVDQA32(z[0], z[i])
		}
	}
	return z
}

func (f *attending) write() {
	f.Label("head")
	queries, context, rows := f.field(attendQueries), f.field(attendContext), f.field(attendBlocks)
	f.Label("rows")
	greatest := f.scores(queries)
	most, top := f.tops(greatest)
	total := f.shares(top)
	f.weights(f.sinks(), most, total)
	for part := range f.size / 32 {
		f.products(context, part)
	}
	queryStep, contextStep := f.field(attendQueryStep), f.field(attendContextStep)
	f.LEAQ(operand.Mem{Base: queries, Index: queryStep, Scale: uint8(f.blocks)}, queries)
	f.LEAQ(operand.Mem{Base: context, Index: contextStep, Scale: uint8(f.blocks)}, context)
	f.SUBQ(operand.Imm(uint64(f.blocks)), rows)
	f.JNZ(operand.LabelRef("rows"))

	f.add(attendQueries, 4*f.size)
	f.add(attendContext, 16*f.size)
	f.add(attendValueScale, 4*f.size)
	f.add(attendScoreUnit, 4)
	f.add(attendScoreStep, 2)
	keyStep, startStep := f.field(attendKeyStep), f.field(attendStartStep)
	f.ADDQ(keyStep, operand.Mem{Base: f.a, Disp: attendKeys})
	f.ADDQ(keyStep, operand.Mem{Base: f.a, Disp: attendValues})
	f.ADDQ(startStep, operand.Mem{Base: f.a, Disp: attendStarts})
	f.DECQ(operand.Mem{Base: f.a, Disp: attendHeads})
	f.JNZ(operand.LabelRef("head"))
	f.VZEROUPPER()
	f.RET()
}

// tileKeys is how many blocks of keys are multiplied with the rows at a time.
const tileKeys = 3

// scores stores the scores of the rows and returns the greatest ones, by two rows and lane.
func (f *attending) scores(queries reg.GPVirtual) []reg.VecVirtual {
	greatest := make([]reg.VecVirtual, 2*f.blocks)
	least := f.GP32()
	f.MOVL(operand.U32(0x8000), least)
	for i := range greatest {
		greatest[i] = f.ZMM()
		f.VPBROADCASTW(least, greatest[i])
	}
	t := scoreTile{
		attending: f, queries: queries, greatest: greatest,
		keys: f.field(attendKeys), starts: f.field(attendStarts), left: f.field(attendKeyBlocks),
		scores: f.field(attendScores), scoreStep: f.field(attendKeyBlocks), first: f.field(attendFirstScores),
	}
	f.SHLQ(operand.Imm(7), t.scoreStep)
	f.CMPQ(t.left, operand.Imm(tileKeys))
	f.JLT(operand.LabelRef("scores2"))
	f.Label("scores3")
	t.write(tileKeys)
	f.CMPQ(t.left, operand.Imm(tileKeys))
	f.JGE(operand.LabelRef("scores3"))
	f.Label("scores2")
	f.CMPQ(t.left, operand.Imm(1))
	f.JLT(operand.LabelRef("tops"))
	f.JEQ(operand.LabelRef("scores1"))
	t.write(2)
	f.JMP(operand.LabelRef("tops"))
	f.Label("scores1")
	t.write(1)
	f.Label("tops")
	return greatest
}

// scoreTile are the registers for the scores of all rows and some blocks of keys.
type scoreTile struct {
	*attending
	queries, keys, starts, left, scores, scoreStep reg.GPVirtual
	first                                          reg.GPVirtual // the mask of the next block of keys
	greatest                                       []reg.VecVirtual
}

func (t scoreTile) write(n int) {
	mask, last := t.masks(n)
	acc := make([]reg.VecVirtual, 4*t.blocks*n)
	for i := range acc {
		acc[i] = t.ZMM()
		t.VMOVDQU32(operand.Mem{Base: t.starts, Disp: 64 * (i % n)}, acc[i])
	}
	queryStep := t.field(attendQueryStep)
	k := []reg.VecVirtual{t.ZMM(), t.ZMM(), t.ZMM()}
	q := t.ZMM()
	for d := range t.size / 4 {
		for j := range n {
			t.VMOVDQU32(operand.Mem{Base: t.keys, Disp: 16*t.size*j + 64*d}, k[j])
		}
		for r := range 4 * t.blocks {
			t.VPBROADCASTD(strided(t.queries, queryStep, r/4, 16*d+4*(r%4)), q)
			for j := range n {
				t.VPDPBUSD(k[j], q, acc[r*n+j])
			}
		}
	}
	for i, greatest := range t.greatest {
		for j := range n {
			x := acc[2*i*n+j]
			t.VPACKSSDW(acc[(2*i+1)*n+j], x, x)
			t.VMOVDQU32(x, strided(t.scores, t.scoreStep, i/2, 128*j+64*(i%2)))
			switch j {
			case 0:
				t.VPMAXSW(x, greatest, mask, greatest)
			case n - 1:
				t.VPMAXSW(x, greatest, last, greatest)
			default:
				t.VPMAXSW(x, greatest, greatest)
			}
		}
	}
	t.ADDQ(operand.I32(16*t.size*n), t.keys)
	t.ADDQ(operand.I32(64*n), t.starts)
	t.ADDQ(operand.I32(128*n), t.scores)
	t.SUBQ(operand.Imm(uint64(n)), t.left)
}

// masks returns those of the first and last of the next n blocks of keys: the sink is left out, and what is
// beyond the text. If n is 1, both stand in the first.
func (t scoreTile) masks(n int) (first, last reg.OpmaskVirtual) {
	first, last = t.K(), t.K()
	bits := t.GP64()
	t.MOVQ(operand.I32(-1), bits)
	t.CMPQ(t.left, operand.Imm(uint64(n)))
	t.CMOVQEQ(operand.Mem{Base: t.a, Disp: attendLastScores}, bits)
	if n == 1 {
		t.ANDQ(bits, t.first)
	} else {
		t.KMOVD(bits.As32(), last)
	}
	t.KMOVD(t.first.As32(), first)
	t.MOVQ(operand.I32(-1), t.first)
	return first, last
}

// tops returns the greatest score of each row, and for each two rows what scores are subtracted from, in the
// places of their scores: half a step more.
func (f *attending) tops(greatest []reg.VecVirtual) (most reg.VecVirtual, top []reg.VecVirtual) {
	all := halves(f.Context, greatest[0], greatest[1], 0x44, 0xee, f.VSHUFI64X2, f.VPMAXSW)
	other := all
	if f.blocks == 2 {
		other = halves(f.Context, greatest[2], greatest[3], 0x44, 0xee, f.VSHUFI64X2, f.VPMAXSW)
	}
	all = halves(f.Context, all, other, 0x88, 0xdd, f.VSHUFI64X2, f.VPMAXSW)
	combineWords(f.Context, all, f.VPMAXSW)
	most = signedWords(f.Context, all)

	step, place := f.GP32(), f.field(attendScoreStep)
	f.MOVWLZX(operand.Mem{Base: place}, step)
	half, divisor := f.XMM(), f.XMM()
	f.VMOVSS(f.half(), half)
	f.VCVTSI2SSL(step, half, divisor)
	f.VDIVSS(divisor, half, half)
	f.VCVTTSS2SI(half, step)
	halves := f.ZMM()
	f.VPBROADCASTW(step, halves)
	f.VPSHUFLW(operand.U8(0), all, all)
	f.VPSHUFHW(operand.U8(0), all, all)
	f.VPADDSW(halves, all, all)
	top = make([]reg.VecVirtual, len(greatest))
	for i := range top {
		top[i] = f.ZMM()
		f.VSHUFI64X2(operand.U8(0x55*i), all, all, top[i])
	}
	return most, top
}

// shares stores the shares of the rows and returns their sums.
func (f *attending) shares(top []reg.VecVirtual) reg.VecVirtual {
	lower, upper, one, step := f.ZMM(), f.ZMM(), f.ZMM(), f.ZMM()
	table, place, word := f.field(attendTable), f.field(attendScoreStep), f.GP32()
	f.VMOVDQU64(operand.Mem{Base: table}, lower)
	f.VMOVDQU64(operand.Mem{Base: table, Disp: 64}, upper)
	f.VPBROADCASTW(operand.Mem{Base: place}, step)
	f.MOVL(operand.U32(1), word)
	f.VPBROADCASTB(word, one)
	sums := f.zeros(f.blocks)
	scores, shares, left := f.field(attendScores), f.field(attendShares), f.field(attendKeyBlocks)
	shareStep := f.GP64()
	f.MOVQ(left, shareStep)
	f.SHLQ(operand.Imm(6), shareStep)
	first, last := f.K(), f.K()
	f.KMOVQ(operand.Mem{Base: f.a, Disp: attendFirstShares}, first)
	f.KMOVQ(operand.Mem{Base: f.a, Disp: attendLastShares}, last)
	block := func(mask reg.Register) {
		for i, sum := range sums {
			x, y := f.ZMM(), f.ZMM()
			// The scores of the second block of rows are as much farther as there are scores of the first.
			f.VPSUBW(strided(scores, shareStep, 2*i, 0), top[2*i], x)
			f.VPSUBW(strided(scores, shareStep, 2*i, 64), top[2*i+1], y)
			f.VPMULHUW(step, x, x)
			f.VPMULHUW(step, y, y)
			f.VPACKSSWB(y, x, x)
			if mask == nil {
				f.VPERMI2B(upper, lower, x)
			} else {
				f.VPERMI2B_Z(upper, lower, mask, x)
			}
			f.VPDPBUSD(one, x, sum)
			f.VMOVDQU64(x, strided(shares, shareStep, i, 0))
		}
		f.ADDQ(operand.I32(128), scores)
		f.ADDQ(operand.Imm(64), shares)
	}
	block(first)
	f.SUBQ(operand.Imm(2), left)
	f.JLT(operand.LabelRef("weights"))
	f.JEQ(operand.LabelRef("lastShares"))
	f.Label("shares")
	block(nil)
	f.DECQ(left)
	f.JNZ(operand.LabelRef("shares"))
	f.Label("lastShares")
	block(last)
	f.Label("weights")

	second := sums[f.blocks-1]
	total := halves(f.Context, sums[0], second, 0x44, 0xee, f.VSHUFI64X2, f.VPADDD)
	return halves(f.Context, total, total, 0x88, 0xdd, f.VSHUFI64X2, f.VPADDD)
}

// sinks returns the score of the sink for each row.
func (f *attending) sinks() reg.VecVirtual {
	place, step, scores := f.field(attendSinkScore), f.field(attendKeyBlocks), f.field(attendScores)
	f.SHLQ(operand.Imm(7), step)
	f.ADDQ(scores, place)
	x := f.zeros(1)[0]
	for i := 0; i < 2*f.blocks; i++ {
		f.VINSERTI64X2(operand.U8(i), strided(place, step, i/2, 64*(i%2)), x, x)
	}
	shift := f.XMM()
	f.VMOVQ(operand.Mem{Base: f.a, Disp: attendSinkScoreShift}, shift)
	f.VPSRLQ(shift, x, x)
	return signedWords(f.Context, x)
}

// weights stores the weight of the sink and the inverse of the sum of weights of each row.
func (f *attending) weights(sink, greatest, total reg.VecVirtual) {
	x, n, t, power := sink.AsY(), f.YMM(), f.YMM(), f.YMM()
	f.VPSUBD(greatest.AsY(), x, x)
	f.VCVTDQ2PS(x, x)
	unit := f.field(attendScoreUnit)
	f.VMULPS_BCST(operand.Mem{Base: unit}, x, x)
	f.VMULPS(f.log2e(), x, x)
	f.VMAXPS(f.least(), x, x)
	f.VMINPS(f.most(), x, x)
	f.VROUNDPS(operand.U8(8), x, n)
	f.VSUBPS(n, x, x)
	f.VCVTPS2DQ(n, power)
	f.VPADDD(f.bias(), power, power)
	f.VPSLLD(operand.U8(23), power, power)
	f.VMOVUPS(f.coefficients()[0], t)
	for _, c := range f.coefficients()[1:] {
		f.VFMADD213PS(c, x, t)
	}
	f.VMULPS(power, t, t)
	f.VMULPS(f.scale(), t, t)
	f.VMOVUPS(t, operand.Mem{Base: f.a, Disp: attendWeights})
	f.VCVTDQ2PS(total.AsY(), x)
	f.VADDPS(x, t, t)
	f.VMOVUPS(f.one(), n)
	f.VDIVPS(t, n, n)
	f.VMOVUPS(n, operand.Mem{Base: f.a, Disp: attendInverses})
}

// products stores 32 components of the context.
func (f *attending) products(context reg.GPVirtual, part int) {
	acc := f.zeros(8 * f.blocks)
	values, shares, turns := f.field(attendValues), f.field(attendShares), f.field(attendKeyBlocks)
	shareStep := f.GP64()
	f.MOVQ(turns, shareStep)
	f.SHLQ(operand.Imm(6), shareStep)
	v, p := [2]reg.VecVirtual{f.ZMM(), f.ZMM()}, f.ZMM()
	label := fmt.Sprintf("products%d", part)
	f.Label(label)
	for u := range 4 {
		for j := range v {
			f.VMOVDQU32(operand.Mem{Base: values, Disp: 4*f.size*u + 128*part + 64*j}, v[j])
		}
		for r := range 4 * f.blocks {
			f.VPBROADCASTD(strided(shares, shareStep, r/4, 16*u+4*(r%4)), p)
			for j := range v {
				f.VPDPBUSD(v[j], p, acc[2*r+j])
			}
		}
	}
	f.ADDQ(operand.I32(16*f.size), values)
	f.ADDQ(operand.Imm(64), shares)
	f.DECQ(turns)
	f.JNZ(operand.LabelRef(label))

	sink, valueScale, shift := f.field(attendSinkValue), f.field(attendValueScale), f.XMM()
	f.ADDQ(operand.Mem{Base: f.a, Disp: attendValues}, sink)
	f.VMOVQ(operand.Mem{Base: f.a, Disp: attendSinkValueShift}, shift)
	contextStep := f.field(attendContextStep)
	for j := range v {
		f.VMOVDQU32(operand.Mem{Base: sink, Disp: 128*part + 64*j}, v[j])
		f.VPSLLD(shift, v[j], v[j])
		f.VPSRAD(operand.U8(24), v[j], v[j])
		f.VCVTDQ2PS(v[j], v[j])
		f.VMOVUPS(operand.Mem{Base: valueScale, Disp: 128*part + 64*j}, p)
		for r := range 4 * f.blocks {
			x := acc[2*r+j]
			f.VCVTDQ2PS(x, x)
			f.VFMADD231PS_BCST(operand.Mem{Base: f.a, Disp: attendWeights + 4*r}, v[j], x)
			f.VMULPS_BCST(operand.Mem{Base: f.a, Disp: attendInverses + 4*r}, x, x)
			f.VMULPS(p, x, x)
			f.VMOVUPS(x, strided(context, contextStep, r/4, 256*(2*part+j)+64*(r%4)))
		}
	}
}

// sumKeys writes -128 times the sums of keys, of so many components.
func sumKeys(c *build.Context, size int) {
	function(c, fmt.Sprintf("sumKeysx%dAVX512VNNI", size), "func(sums *int32, keys *int8, blocks int, last uint64)")
	sums, keys, blocks, last := argument(c, "sums"), argument(c, "keys"), argument(c, "blocks"), c.K()
	c.KMOVW(argument(c, "last").As32(), last)
	word, one, sum, zero := c.GP32(), c.ZMM(), c.ZMM(), c.ZMM()
	c.MOVL(operand.U32(1), word)
	c.VPBROADCASTB(word, one)
	c.VPXORD(zero, zero, zero)
	c.Label("loop")
	c.VPXORD(sum, sum, sum)
	for d := range size / 4 {
		c.VPDPBUSD(operand.Mem{Base: keys, Disp: 64 * d}, one, sum)
	}
	c.VPSLLD(operand.U8(7), sum, sum)
	c.VPSUBD(sum, zero, sum)
	c.VMOVDQU32(sum, operand.Mem{Base: sums})
	c.ADDQ(operand.I32(16*size), keys)
	c.ADDQ(operand.Imm(64), sums)
	c.DECQ(blocks)
	c.JNZ(operand.LabelRef("loop"))
	// Beyond the text no score may be great.
	c.MOVL(operand.U32(0xe0000000), word)
	c.VPBROADCASTD(word, zero)
	c.VMOVDQU32(zero, last, operand.Mem{Base: sums, Disp: -64})
	c.VZEROUPPER()
	c.RET()
}
