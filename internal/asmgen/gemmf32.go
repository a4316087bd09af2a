package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmF32 writes the register tiles of the float32 matrix product. Each function computes one tile, every
// sum in the order of k with one fused step for each; package simd's tileF32 says what it gets.
func gemmF32(c *build.Context) {
	for _, rows := range []int{8, 4, 2, 1} {
		for _, panels := range []int{3, 2, 1} {
			tileF32(c, fmt.Sprintf("tileF32x%dx%dAVX512", rows, 16*panels), rows, panels, panels, c.ZMM)
		}
	}
	for _, rows := range []int{6, 4, 2, 1} {
		tileF32(c, fmt.Sprintf("tileF32x%dx16AVX2", rows), rows, 1, 2, c.YMM)
	}
}

// tileF32 writes a tile of so many rows and panels, each row of which takes vectors registers.
func tileF32(c *build.Context, name string, rows, panels, vectors int, vector func() reg.VecVirtual) {
	function(c, name, "func(t *[9]uint64)")
	f := loadTileWords(c)
	k := f.turns
	inPanel := vectors / panels // vectors of a panel
	bytes := 64 / inPanel
	acc := make([]reg.VecVirtual, rows*vectors)
	for r := range rows {
		for j := range vectors {
			acc[r*vectors+j] = vector()
			c.VMOVUPS(operand.Mem{Base: f.start, Disp: bytes * j}, acc[r*vectors+j])
		}
		if r+1 < rows {
			c.ADDQ(f.startStep, f.start)
		}
	}
	// Rows r, r+1 and r+2 are reached from the same register.
	bases := []reg.GPVirtual{f.a}
	for r := 3; r < rows; r += 3 {
		next := c.GP64()
		c.LEAQ(operand.Mem{Base: bases[len(bases)-1], Index: f.aStep, Scale: 2}, next)
		c.ADDQ(f.aStep, next)
		bases = append(bases, next)
	}
	w := make([]reg.VecVirtual, vectors)
	for j := range w {
		w[j] = vector()
	}
	x := [2]reg.VecVirtual{vector(), vector()}
	step := func(u int) {
		for j := range w {
			c.VMOVUPS(f.panel(j/inPanel, 64*u+bytes*(j%inPanel)), w[j])
		}
		for r := range rows {
			c.VBROADCASTSS(strided(bases[r/3], f.aStep, r%3, 4*u), x[r%2])
			for j := range w {
				c.VFMADD231PS(w[j], x[r%2], acc[r*vectors+j])
			}
		}
	}
	advance := func(steps int) {
		for _, base := range bases {
			c.ADDQ(operand.I32(int32(4*steps)), base)
		}
		c.ADDQ(operand.I32(int32(64*steps)), f.w)
	}
	c.SUBQ(operand.Imm(unrolled), k)
	c.JL(operand.LabelRef("rest"))
	c.Label("loop")
	for u := range unrolled {
		step(u)
	}
	advance(unrolled)
	c.SUBQ(operand.Imm(unrolled), k)
	c.JGE(operand.LabelRef("loop"))
	c.Label("rest")
	c.ADDQ(operand.Imm(unrolled), k)
	c.JZ(operand.LabelRef("store"))
	c.Label("one")
	step(0)
	advance(1)
	c.DECQ(k)
	c.JNZ(operand.LabelRef("one"))
	c.Label("store")
	for r := range rows {
		for j := range vectors {
			c.VMOVUPS(acc[r*vectors+j], operand.Mem{Base: f.sums, Disp: bytes * j})
		}
		if r+1 < rows {
			c.ADDQ(f.sumsStep, f.sums)
		}
	}
	c.VZEROUPPER()
	c.RET()
}
