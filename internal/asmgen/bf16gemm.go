package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmBF16 writes the register tiles of the bfloat16 matrix product for AVX512_BF16: 8 or 4 rows by up to
// three panels of 16 columns. Package simd's tileBF16 says what they get.
func gemmBF16(c *build.Context) {
	for _, rows := range []int{8, 4} {
		for _, panels := range []int{3, 2, 1} {
			tileBF16(c, rows, panels)
		}
	}
}

func tileBF16(c *build.Context, rows, panels int) {
	const pairs = 16 // of k in a step
	function(c, fmt.Sprintf("tileBF16x%dx%dAVX512BF16", rows, 16*panels), "func(t *[8]uint64)")
	t := c.Load(c.Param("t"), c.GP64())
	var words [8]reg.GPVirtual
	for i := range words {
		words[i] = c.GP64()
		c.MOVQ(operand.Mem{Base: t, Disp: 8 * i}, words[i])
	}
	a, w, wStep, start, startStep, sums, sumsStep, steps := words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]
	acc := make([]reg.VecVirtual, rows*panels)
	for r := range rows {
		for j := range panels {
			acc[r*panels+j] = c.ZMM()
			c.VMOVUPS(operand.Mem{Base: start, Disp: 64 * j}, acc[r*panels+j])
		}
		if r+1 < rows {
			c.ADDQ(startStep, start)
		}
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
