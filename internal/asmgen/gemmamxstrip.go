package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// strip writes the kernel for up to 16 rows: one panel of 16 columns after the other, so that the
// weights, which are read once and bound the speed, are one ascending stream whatever their shape. The
// steps take turns in four tiles of sums, because a product needs the one before in the same tile to be
// complete; they are added up when the rows are stored, after the first step of the next panel.
func (k amxKernel) strip(c *build.Context) {
	g := k.begin(c, "StripAMX", 1, 4)
	sums := [][]operand.Mem{nil}
	for t := range 4 {
		sums[0] = append(sums[0], operand.Mem{Base: g.src, Disp: t * tileBytes})
	}
	c.MOVQ(g.arg("rows"), g.tmp)
	g.configure(c)
	c.MOVQ(g.arg("w"), g.w[0])

	c.Label("panel")
	c.MOVQ(g.arg("a"), g.a[0])
	c.MOVQ(g.frame["target"], g.src)
	g.loadStep(c, 0, 0)
	for t := range tile(4) {
		g.store(c, t, g.src)
		zeroTile(c, t)
		if t == 0 {
			g.multiplyStep(c, 0)
		}
	}
	g.advanceStrip(c, 1)
	g.resume(c)
	g.finishAll(c, sums, false)
	c.MOVQ(g.arg("steps"), g.k)
	c.DECQ(g.k)
	c.SUBQ(operand.Imm(4), g.k)
	c.JLT(operand.LabelRef("last"))
	c.Label("four")
	for i := range 4 {
		g.loadStep(c, i+1, i*tileBytes)
		g.multiplyStep(c, i+1)
	}
	g.advanceStrip(c, 4)
	c.SUBQ(operand.Imm(4), g.k)
	c.JGE(operand.LabelRef("four"))

	// Up to three steps more: g.k is that number less 4.
	c.Label("last")
	for i := range 3 {
		c.CMPQ(g.k, operand.I8(int8(i-4)))
		c.JEQ(operand.LabelRef("computed"))
		g.loadStep(c, i+1, 0)
		g.multiplyStep(c, i+1)
		g.advanceStrip(c, 1)
	}
	c.Label("computed")
	g.copyLocal(c, g.arg("rows"), "waitingRows")
	g.copyLocal(c, g.frame["out"], "waitingOut")
	g.copyLocal(c, g.arg("params"), "waitingParams")
	g.wait(c, 16)
	g.nextColumns(c, 16, "panel")
	g.end(c, sums, false)
}

// loadStep loads the tiles of step i, counted from the panel's first, whose places are disp further on.
func (g *amxCode) loadStep(c *build.Context, i, disp int) {
	for line := 0; line < tileBytes; line += 64 {
		c.PREFETCHT0(operand.Mem{Base: g.w[0], Disp: disp + stripAhead + line})
	}
	g.load(c, g.w[0], disp, weights0+tile(i%2))
	g.load(c, g.a[0], disp, activations0+tile(i%2))
}

// stripAhead is how far ahead weights are fetched: as much as the latency of the L3 cache takes.
const stripAhead = 8 * tileBytes

func (g *amxCode) multiplyStep(c *build.Context, i int) {
	multiplyTiles(c, g.product, weights0+tile(i%2), activations0+tile(i%2), tile(i%4))
}

func (g *amxCode) advanceStrip(c *build.Context, steps int) {
	c.ADDQ(operand.I32(int32(steps*tileBytes)), g.w[0])
	c.ADDQ(operand.I32(int32(steps*tileBytes)), g.a[0])
}
