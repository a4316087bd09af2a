package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmBF16 writes the register tiles of the bfloat16 matrix product: with AVX-512 8 or 4 rows by up to
// three panels of 16 columns, with AVX2 4 rows by one. Package simd's tileBF16 says what they get.
func gemmBF16(c *build.Context) {
	for _, rows := range []int{8, 4} {
		for _, panels := range []int{3, 2, 1} {
			tileBF16(c, rows, panels, "AVX512BF16", 64, c.ZMM, dotPairs)
			tileBF16(c, rows, panels, "AVX512", 64, c.ZMM, multiplyHalvesAVX512)
		}
	}
	tileBF16(c, 4, 1, "AVX2", 32, c.YMM, multiplyHalvesAVX2)
}

// A pairTile is a tile while one pair of k is multiplied.
type pairTile struct {
	sums    []reg.VecVirtual // row after row
	weights []reg.VecVirtual // one for each vector of a row
	x       []reg.VecVirtual // to be used in turn
	upper   reg.VecVirtual   // the mask of the upper half of each pair

	row, weight func(i int) operand.Mem // the pair of row i, the pairs of vector i
}

// tileBF16 writes a tile; pair adds the products of a pair of k to its sums.
func tileBF16(c *build.Context, rows, panels int, level string, width int, vector func() reg.VecVirtual, pair func(*build.Context, *pairTile)) {
	const pairs = 16 // of k in a step
	function(c, fmt.Sprintf("tileBF16x%dx%d%s", rows, 16*panels, level), "func(t *[8]uint64)")
	t := c.Load(c.Param("t"), c.GP64())
	var words [8]reg.GPVirtual
	for i := range words {
		words[i] = c.GP64()
		c.MOVQ(operand.Mem{Base: t, Disp: 8 * i}, words[i])
	}
	a, w, wStep, start, startStep, sums, sumsStep, steps := words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]
	perPanel := 64 / width
	vectors := panels * perPanel
	tile := &pairTile{sums: make([]reg.VecVirtual, rows*vectors), weights: make([]reg.VecVirtual, vectors)}
	for r := range rows {
		for j := range vectors {
			tile.sums[r*vectors+j] = vector()
			c.VMOVUPS(operand.Mem{Base: start, Disp: width * j}, tile.sums[r*vectors+j])
		}
		if r+1 < rows {
			c.ADDQ(startStep, start)
		}
	}
	for j := range tile.weights {
		tile.weights[j] = vector()
	}
	tile.x = []reg.VecVirtual{vector(), vector()}
	if level != "AVX512BF16" {
		tile.upper = vector()
		bits := c.GP32()
		c.MOVL(operand.U32(0xffff0000), bits)
		c.VMOVD(bits, tile.upper.AsX())
		c.VPBROADCASTD(tile.upper.AsX(), tile.upper)
	}
	c.Label("loop")
	for p := range pairs {
		tile.row = func(i int) operand.Mem { return operand.Mem{Base: a, Disp: tileRow*i + 4*p} }
		tile.weight = func(i int) operand.Mem { return strided(w, wStep, i/perPanel, 64*p+i%perPanel*width) }
		pair(c, tile)
	}
	c.ADDQ(operand.I32(tileBytes), a)
	c.ADDQ(operand.I32(tileBytes), w)
	c.DECQ(steps)
	c.JNZ(operand.LabelRef("loop"))
	for r := range rows {
		for j := range vectors {
			c.VMOVUPS(tile.sums[r*vectors+j], operand.Mem{Base: sums, Disp: width * j})
		}
		if r+1 < rows {
			c.ADDQ(sumsStep, sums)
		}
	}
	c.VZEROUPPER()
	c.RET()
}

// each calls f for every sum with its row's and its column's register.
func (t *pairTile) each(load func(row int, x reg.VecVirtual), f func(x, w, sum reg.VecVirtual)) {
	vectors := len(t.weights)
	for r := range len(t.sums) / vectors {
		x := t.x[r%len(t.x)]
		load(r, x)
		for j, w := range t.weights {
			f(x, w, t.sums[r*vectors+j])
		}
	}
}

// dotPairs multiplies pairs in one instruction.
func dotPairs(c *build.Context, t *pairTile) {
	for j, w := range t.weights {
		c.VMOVDQU32(t.weight(j), w)
	}
	t.each(func(r int, x reg.VecVirtual) { c.VPBROADCASTD(t.row(r), x) },
		func(x, w, sum reg.VecVirtual) { dotBF16(c, w, x, sum) })
}

// multiplyHalvesAVX512 widens the lower halves of pairs to float32 and multiplies them, then the upper.
func multiplyHalvesAVX512(c *build.Context, t *pairTile) {
	fuse := func(x, w, sum reg.VecVirtual) { c.VFMADD231PS(w, x, sum) }
	for j, w := range t.weights {
		c.VPSLLD(operand.Imm(16), t.weight(j), w)
	}
	t.each(func(r int, x reg.VecVirtual) { c.VPSLLD_BCST(operand.Imm(16), t.row(r), x) }, fuse)
	for j, w := range t.weights {
		c.VPANDD(t.weight(j), t.upper, w)
	}
	t.each(func(r int, x reg.VecVirtual) { c.VPANDD_BCST(t.row(r), t.upper, x) }, fuse)
}

// multiplyHalvesAVX2 is multiplyHalvesAVX512 with the instructions of AVX2.
func multiplyHalvesAVX2(c *build.Context, t *pairTile) {
	fuse := func(x, w, sum reg.VecVirtual) { c.VFMADD231PS(w, x, sum) }
	for j, w := range t.weights {
		c.VMOVDQU(t.weight(j), w)
		c.VPSLLD(operand.Imm(16), w, w)
	}
	t.each(func(r int, x reg.VecVirtual) {
		c.VPBROADCASTD(t.row(r), x)
		c.VPSLLD(operand.Imm(16), x, x)
	}, fuse)
	for j, w := range t.weights {
		c.VPAND(t.weight(j), t.upper, w)
	}
	t.each(func(r int, x reg.VecVirtual) {
		c.VPBROADCASTD(t.row(r), x)
		c.VPAND(x, t.upper, x)
	}, fuse)
}
