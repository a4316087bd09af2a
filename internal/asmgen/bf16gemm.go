package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmBF16 writes the register tiles of the bfloat16 matrix product for AVX512_BF16: 8 rows by up to
// three panels of 16 columns. Package simd's tileBF16 says what they get.
func gemmBF16(c *build.Context) {
	for _, panels := range []int{3, 2, 1} {
		tileBF16(c, panels)
	}
}

func tileBF16(c *build.Context, panels int) {
	const rows, pairs = 8, 16 // pairs of k in a step
	function(c, fmt.Sprintf("tileBF16x8x%dAVX512BF16", 16*panels), "func(t *[6]uint64)")
	t := c.Load(c.Param("t"), c.GP64())
	a, w, wStep, sums, sumsStep, steps := c.GP64(), c.GP64(), c.GP64(), c.GP64(), c.GP64(), c.GP64()
	for i, r := range []reg.GPVirtual{a, w, wStep, sums, sumsStep, steps} {
		c.MOVQ(operand.Mem{Base: t, Disp: 8 * i}, r)
	}
	acc := make([]reg.VecVirtual, rows*panels)
	for i := range acc {
		acc[i] = c.ZMM()
		c.VPXORD(acc[i], acc[i], acc[i])
	}
	weights := make([]reg.VecVirtual, panels)
	for j := range weights {
		weights[j] = c.ZMM()
	}
	x := [4]reg.VecVirtual{c.ZMM(), c.ZMM(), c.ZMM(), c.ZMM()}
	c.Label("loop")
	for p := range pairs {
		for j := range panels {
			c.VMOVDQU32(strided(w, wStep, j, 64*p), weights[j])
		}
		for r := range rows {
			c.VPBROADCASTD(operand.Mem{Base: a, Disp: tileRow*r + 4*p}, x[r%4])
			for j := range panels {
				dotBF16(c, weights[j], x[r%4], acc[r*panels+j])
			}
		}
	}
	c.ADDQ(operand.I32(tileBytes), a)
	c.ADDQ(operand.I32(tileBytes), w)
	c.DECQ(steps)
	c.JNZ(operand.LabelRef("loop"))
	for r := range rows {
		for j := range panels {
			c.VMOVUPS(acc[r*panels+j], operand.Mem{Base: sums, Disp: 64 * j})
		}
		if r+1 < rows {
			c.ADDQ(sumsStep, sums)
		}
	}
	c.VZEROUPPER()
	c.RET()
}
