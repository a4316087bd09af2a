package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sumsI32 stores the sums as they are, added to what the columns start from.
var sumsI32 = sink{
	elementBytes: 4,
	columns:      func(c *build.Context, g *amxCode) { g.loadColumns(c, "start") },
	row: func(c *build.Context, g *amxCode, sums [][]operand.Mem) {
		for i, k := range g.masks {
			c.VMOVDQU32(g.sum(c, i, sums), k, operand.Mem{Base: g.out, Disp: 64 * i})
		}
	},
}

// sumsF32 stores the sums as they are.
var sumsF32 = sink{
	elementBytes: 4,
	columns:      func(*build.Context, *amxCode) {},
	row: func(c *build.Context, g *amxCode, sums [][]operand.Mem) {
		for i, k := range g.masks {
			v := c.ZMM()
			c.VMOVUPS(sums[i][0], v)
			for _, m := range sums[i][1:] {
				c.VADDPS(m, v, v)
			}
			c.VMOVUPS(v, k, operand.Mem{Base: g.out, Disp: 64 * i})
		}
	},
}

// loadColumns loads the constants of the columns from index g.tmp on.
func (g *amxCode) loadColumns(c *build.Context, names ...string) {
	for _, name := range names {
		c.MOVQ(g.arg(name), g.out) // set below
		for i, k := range g.masks {
			if len(g.constants[name]) == i {
				g.constants[name] = append(g.constants[name], c.ZMM())
			}
			c.VMOVDQU32_Z(operand.Mem{Base: g.out, Index: g.tmp, Scale: 4, Disp: 64 * i}, k, g.constants[name][i])
		}
	}
}

// sum returns the i-th vector of a row's int32 sums.
func (g *amxCode) sum(c *build.Context, i int, sums [][]operand.Mem) reg.VecVirtual {
	v := c.ZMM()
	c.VPADDD(sums[i][0], g.constants["start"][i], v)
	for _, m := range sums[i][1:] {
		c.VPADDD(m, v, v)
	}
	return v
}

// Places in the 16 bytes of simd's amxRow.
const (
	paramInverse = 4 * iota
	paramScale
	paramOffset
	paramBytes = 16
)

// reals makes reals of the sums and stores them as a type, step by step as epilogueAVX512 does.
func reals(to string, elementBytes int, table operand.Mem) sink {
	return sink{
		elementBytes: elementBytes,
		columns: func(c *build.Context, g *amxCode) {
			g.loadColumns(c, "start", "scale", "offset", "bias")
			if g.storeVector != nil {
				return // loaded for the block before
			}
			g.zero, g.half, g.one = c.ZMM(), c.ZMM(), c.ZMM()
			c.VPXORD(g.zero, g.zero, g.zero)
			c.VBROADCASTSS(constant(table, constHalf), g.half)
			c.VBROADCASTSS(constant(table, constOne), g.one)
			c.MOVQ(g.arg("limits"), g.out)
			g.storeVector = storerAVX512(c, &epilogueWords{dst: g.out, inverse: g.params, limits: g.out}, table, to)
		},
		row: func(c *build.Context, g *amxCode, sums [][]operand.Mem) {
			scale, offset := c.ZMM(), c.ZMM()
			c.VBROADCASTSS(operand.Mem{Base: g.params, Disp: paramScale}, scale)
			c.VBROADCASTSS(operand.Mem{Base: g.params, Disp: paramOffset}, offset)
			var y []reg.VecVirtual
			for i := range g.masks {
				sum := g.sum(c, i, sums)
				y = append(y, c.ZMM())
				c.VCVTDQ2PS(sum, sum)
				c.VMULPS(g.constants["scale"][i], sum, sum)
				c.VMOVAPS(g.constants["bias"][i], y[i])
				c.VFMADD231PS(offset, g.constants["offset"][i], y[i])
				c.VFMADD231PS(scale, sum, y[i])
			}
			withGelu, done := g.newLabel("gelu"), g.newLabel("activated")
			c.CMPQ(g.arg("activation"), operand.Imm(1))
			c.JLT(operand.LabelRef(done))
			c.JGT(operand.LabelRef(withGelu))
			for i := range y {
				c.VMAXPS(y[i], g.zero, y[i])
			}
			c.JMP(operand.LabelRef(done))
			c.Label(withGelu)
			geluAVX512(c, table, y, g.zero, g.half, g.one)
			c.Label(done)
			for i, k := range g.masks {
				g.storeVector(i, y[i], k)
			}
			c.ADDQ(operand.I32(paramBytes), g.params)
		},
	}
}
