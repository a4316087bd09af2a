package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// blocks writes the kernel for 17 rows and more: blocks of 32 rows by 32 columns, four tiles of sums.
//
// Storing a tile, and what becomes of its sums, take about as long as the products of six steps. So
// neither stands still for the other: the tiles of a block are stored one by one in the first step of
// the next block, each just before it is cleared, and their rows are finished between the steps after
// it. Weights of 32 columns stay in the L1 cache while all rows pass: where there are too many steps for
// that they are cut into chunks, and between chunks the sums of the up to maxPairs blocks are parked.
func (k amxKernel) blocks(c *build.Context) {
	g := k.begin(c, "BlocksAMX", 2, 4*(1+maxPairs), "weights", "gap", "stepsLeft", "chunkA", "chunkW",
		"steps", "rowsLeft", "blockA", "blockOut", "blockParams", "parked")
	sums := [][]operand.Mem{{{Base: g.src}}, {{Base: g.src, Disp: tileBytes}}}
	c.MOVQ(operand.I32(16), g.tmp)
	g.configure(c)
	g.copyLocal(c, g.arg("w"), "weights")

	c.Label("panels")
	g.beginPanels(c)
	c.Label("chunk")
	g.beginChunk(c)
	c.Label("block")
	g.firstStep(c)
	c.JZ(operand.LabelRef("computed"))
	c.Label("step")
	g.nextStep(c)
	g.finish(c, sums, true)
	c.DECQ(g.k)
	c.JNZ(operand.LabelRef("step"))
	c.Label("computed")
	g.finishAll(c, sums, true)

	// The last chunk's block waits to be stored, the others are parked.
	c.MOVQ(g.frame["steps"], g.tmp)
	c.CMPQ(g.frame["stepsLeft"], g.tmp)
	c.JEQ(operand.LabelRef("waits"))
	g.copyLocal(c, g.frame["parked"], "target")
	c.MOVQ(operand.I32(0), g.frame["waitingRows"])
	c.JMP(operand.LabelRef("next"))
	c.Label("waits")
	g.copyLocal(c, g.frame["scratch"], "target")
	g.copyLocal(c, g.frame["blockOut"], "waitingOut")
	g.copyLocal(c, g.frame["blockParams"], "waitingParams")
	c.MOVQ(g.frame["rowsLeft"], g.tmp)
	c.MOVQ(operand.I32(32), g.k)
	c.CMPQ(g.tmp, g.k)
	c.CMOVQGT(g.k, g.tmp)
	c.MOVQ(g.tmp, g.frame["waitingRows"])
	g.wait(c, 32)

	c.Label("next")
	c.ADDQ(operand.I32(4*tileBytes), g.frame["parked"])
	g.blockBytes(c)
	c.SHLQ(operand.Imm(1), g.tmp)
	g.addTo(c, "blockA")
	c.MOVQ(g.resultPitch, g.tmp)
	c.SHLQ(operand.Imm(5), g.tmp)
	g.addTo(c, "blockOut")
	c.ADDQ(operand.I32(32*paramBytes), g.frame["blockParams"])
	c.SUBQ(operand.I32(32), g.frame["rowsLeft"])
	c.JGT(operand.LabelRef("block"))

	c.MOVQ(g.frame["steps"], g.tmp)
	c.SUBQ(g.tmp, g.frame["stepsLeft"])
	c.SHLQ(operand.Imm(10), g.tmp)
	g.addTo(c, "chunkA")
	g.addTo(c, "chunkW")
	c.CMPQ(g.frame["stepsLeft"], operand.Imm(0))
	c.JGT(operand.LabelRef("chunk"))

	g.blockBytes(c)
	c.SHLQ(operand.Imm(1), g.tmp)
	g.addTo(c, "weights")
	g.nextColumns(c, 32, "panels")
	g.end(c, sums, true)
}

// blockBytes sets g.tmp to the bytes of 16 rows of activations or 16 columns of weights.
func (g *amxCode) blockBytes(c *build.Context) {
	c.MOVQ(g.arg("steps"), g.tmp)
	c.SHLQ(operand.Imm(10), g.tmp)
}

// beginPanels prepares for two panels of weights; if there is only one left, it is taken twice, and the
// mask of the second is empty.
func (g *amxCode) beginPanels(c *build.Context) {
	c.MOVQ(g.arg("columns"), g.k)
	c.SUBQ(g.frame["column"], g.k)
	g.blockBytes(c)
	c.MOVQ(g.frame["weights"], g.ahead)
	c.ADDQ(g.tmp, g.ahead)
	c.ADDQ(g.tmp, g.ahead)
	c.XORQ(g.turn, g.turn)
	c.CMPQ(g.k, operand.Imm(16))
	c.CMOVQLE(g.turn, g.tmp)
	c.MOVQ(g.tmp, g.frame["gap"])
	g.copyLocal(c, g.frame["weights"], "chunkW")
	g.copyLocal(c, g.arg("a"), "chunkA")
	g.copyLocal(c, g.arg("steps"), "stepsLeft")
}

// beginChunk prepares for the next steps, of all rows.
func (g *amxCode) beginChunk(c *build.Context) {
	c.MOVQ(g.frame["stepsLeft"], g.tmp)
	c.MOVQ(g.arg("chunk"), g.k)
	c.CMPQ(g.tmp, g.k)
	c.CMOVQGT(g.k, g.tmp)
	c.MOVQ(g.tmp, g.frame["steps"])
	g.copyLocal(c, g.arg("rows"), "rowsLeft")
	g.copyLocal(c, g.frame["chunkA"], "blockA")
	g.copyLocal(c, g.frame["out"], "blockOut")
	g.copyLocal(c, g.arg("params"), "blockParams")
	c.MOVQ(g.frame["scratch"], g.tmp)
	c.ADDQ(operand.I32(4*tileBytes), g.tmp)
	c.MOVQ(g.tmp, g.frame["parked"])
}

// firstStep stores the tiles of the block before, clears them or loads what was parked, and adds the
// products of the first step. It leaves the number of steps left in g.k and in the flags.
func (g *amxCode) firstStep(c *build.Context) {
	g.blockBytes(c)
	c.MOVQ(g.frame["blockA"], g.a[0])
	c.LEAQ(operand.Mem{Base: g.a[0], Index: g.tmp, Scale: 1}, g.a[1])
	c.MOVQ(g.frame["chunkW"], g.w[0])
	c.MOVQ(g.frame["gap"], g.w[1])
	c.ADDQ(g.w[0], g.w[1])
	g.load(c, g.a[0], 0, activations0)
	g.load(c, g.w[0], 0, weights0)
	g.load(c, g.w[1], 0, weights1)
	g.load(c, g.a[1], 0, activations1)
	c.MOVQ(g.frame["target"], g.src)
	c.MOVQ(g.arg("steps"), g.tmp)
	c.CMPQ(g.frame["stepsLeft"], g.tmp)
	c.JNE(operand.LabelRef("parked"))
	for t := range tile(4) {
		g.store(c, t, g.src)
		zeroTile(c, t)
		g.multiply(c, t)
	}
	c.JMP(operand.LabelRef("begun"))
	c.Label("parked")
	c.MOVQ(g.frame["parked"], g.tmp)
	for t := range tile(4) {
		g.store(c, t, g.src)
		g.load(c, g.tmp, int(t)*tileBytes, t)
		g.multiply(c, t)
	}
	c.Label("begun")
	g.resume(c)
	g.fetchAhead(c)
	g.advance(c)
	c.MOVQ(g.frame["steps"], g.k)
	c.DECQ(g.k)
}

// multiply adds the products of a step to a tile of sums: 0 and 1 are the upper rows, 1 and 3 the right
// columns.
func (g *amxCode) multiply(c *build.Context, sums tile) {
	multiplyTiles(c, g.product, weights0+sums%2, activations0+sums/2, sums)
}

func (g *amxCode) nextStep(c *build.Context) {
	g.fetchAhead(c)
	g.load(c, g.a[0], 0, activations0)
	g.load(c, g.w[0], 0, weights0)
	g.load(c, g.w[1], 0, weights1)
	g.multiply(c, 0)
	g.multiply(c, 1)
	g.load(c, g.a[1], 0, activations1)
	g.multiply(c, 2)
	g.multiply(c, 3)
	g.advance(c)
}

func (g *amxCode) advance(c *build.Context) {
	for i := range 2 {
		c.ADDQ(operand.I32(tileBytes), g.a[i])
		c.ADDQ(operand.I32(tileBytes), g.w[i])
	}
}

// fetchAhead fetches some of the weights of the next panels into the L2 cache: all of them in as many
// turns as there are steps and blocks of rows until then.
func (g *amxCode) fetchAhead(c *build.Context) {
	const lines = 8
	fetch := g.newLabel("fetch")
	c.MOVQ(g.arg("ahead"), g.tmp)
	c.Label(fetch)
	for i := range lines {
		c.PREFETCHT1(operand.Mem{Base: g.ahead, Disp: 64 * i})
	}
	c.ADDQ(operand.I32(64*lines), g.ahead)
	c.DECQ(g.tmp)
	c.JNZ(operand.LabelRef(fetch))
}
