package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// stream writes loops that only load: whole turns of eight registers.
func stream(c *build.Context) {
	streamLoop(c, "streamAVX512", 64, c.ZMM)
	streamLoop(c, "streamAVX2", 32, c.YMM)
}

func streamLoop(c *build.Context, name string, width int, register func() reg.VecVirtual) {
	function(c, name, "func(p *byte, turns int)")
	p, turns := c.Load(c.Param("p"), c.GP64()), c.Load(c.Param("turns"), c.GP64())
	var to [8]reg.VecVirtual
	for i := range to {
		to[i] = register()
	}
	c.Label("loop")
	for i := range to {
		c.VMOVUPS(operand.Mem{Base: p, Disp: i * width}, to[i])
	}
	c.ADDQ(operand.U32(uint32(8*width)), p)
	c.DECQ(turns)
	c.JNZ(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}
