package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peak writes loops of nothing but a level's multiply-add, on registers, with as many sums in flight as
// a register tile has. The numbers come from memory: some processors are faster on zeros.
func peak(c *build.Context) {
	peakLoop(c, "peakI8AVX512VNNI", 24, c.ZMM, func(x, w, sum, _, _ reg.Register) {
		c.VPDPBUSD(w, x, sum)
	})
	peakLoop(c, "peakI8AVX512", 16, c.ZMM, func(x, w, sum, product, ones reg.Register) {
		c.VPMADDUBSW(w, x, product)
		c.VPMADDWD(ones, product, product)
		c.VPADDD(product, sum, sum)
	})
	peakLoop(c, "peakI8AVXVNNI", 12, c.YMM, func(x, w, sum, _, _ reg.Register) {
		c.VPDPBUSD(w, x, sum)
	})
	peakLoop(c, "peakI8AVX2", 8, c.YMM, func(x, w, sum, product, ones reg.Register) {
		c.VPMADDUBSW(w, x, product)
		c.VPMADDWD(ones, product, product)
		c.VPADDD(product, sum, sum)
	})
	peakLoop(c, "peakBF16AVX512BF16", 24, c.ZMM, func(x, w, sum, _, _ reg.Register) {
		dotBF16(c, w.(reg.VecVirtual), x.(reg.VecVirtual), sum.(reg.VecVirtual))
	})
	tileConfigs(c)
	peakTiles(c, "peakI8AMX", "TDPBUSD")
	peakTiles(c, "peakBF16AMX", "TDPBF16PS")
	peakLoop(c, "peakF32AVX512", 24, c.ZMM, func(x, w, sum, _, _ reg.Register) {
		c.VFMADD231PS(w, x, sum)
	})
	peakLoop(c, "peakF32AVX2", 12, c.YMM, func(x, w, sum, _, _ reg.Register) {
		c.VFMADD231PS(w, x, sum)
	})
}

// peakLoop writes a function that runs step on each of several sums, n times.
func peakLoop(c *build.Context, name string, sums int, vector func() reg.VecVirtual, step func(x, w, sum, product, ones reg.Register)) {
	function(c, name, "func(numbers *byte, n int)")
	numbers, n := c.Load(c.Param("numbers"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	var x, w [2]reg.VecVirtual
	for i := range x {
		x[i], w[i] = vector(), vector()
		c.VMOVUPS(operand.Mem{Base: numbers, Disp: 128 * i}, x[i])
		c.VMOVUPS(operand.Mem{Base: numbers, Disp: 128*i + 64}, w[i])
	}
	ones := vector()
	c.VMOVUPS(operand.Mem{Base: numbers, Disp: 256}, ones)
	products := [4]reg.VecVirtual{vector(), vector(), vector(), vector()}
	all := make([]reg.VecVirtual, sums)
	for i := range all {
		all[i] = vector()
		c.VMOVUPS(operand.Mem{Base: numbers, Disp: 64 * (i % 4)}, all[i])
	}
	c.Label("loop")
	for i := range all {
		step(x[i%2], w[i/2%2], all[i], products[i%4], ones)
	}
	c.DECQ(n)
	c.JNZ(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}

// peakTiles writes a function that multiplies tiles into each of four tiles of sums, n times. The rows of
// the factors overlap in memory, so that they fit there.
func peakTiles(c *build.Context, name, product string) {
	function(c, name, "func(numbers *byte, n int)")
	numbers, n := c.Load(c.Param("numbers"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	configs, pitch := c.GP64(), c.GP64()
	c.LEAQ(operand.NewDataAddr(operand.NewStaticSymbol(tileConfigsName), 0), configs)
	loadTileConfig(c, operand.Mem{Base: configs, Disp: 15 * 64})
	c.MOVQ(operand.I32(16), pitch)
	for t := range tile(4) {
		zeroTile(c, t)
		loadTile(c, operand.Mem{Base: numbers, Index: pitch, Scale: 1, Disp: 4 * int(t)}, activations0+t)
	}
	c.Label("loop")
	for t := range tile(4) {
		multiplyTiles(c, product, weights0+t%2, activations0+t/2, t)
	}
	c.DECQ(n)
	c.JNZ(operand.LabelRef("loop"))
	releaseTiles(c)
	c.RET()
}
