package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pointer walks over a vector.
type pointer struct {
	reg.GPVirtual
	bytes int // of an element
}

func loadPointer(c *build.Context, param string, bytes int) pointer {
	return pointer{c.Load(c.Param(param), c.GP64()).(reg.GPVirtual), bytes}
}

// at is the place of the i-th register of per elements.
func (p pointer) at(i, per int) operand.Mem {
	return operand.Mem{Base: p, Disp: i * per * p.bytes}
}

func step(c *build.Context, pointers []pointer, n reg.GPVirtual, elements int) {
	for _, p := range pointers {
		c.ADDQ(operand.I32(elements*p.bytes), p.GPVirtual)
	}
	c.SUBQ(operand.I32(elements), n)
}

// each512 runs body over n elements, 16 a register: two registers at a time, the i-th without a mask,
// then one at a time under the mask k of the elements that are left.
func each512(c *build.Context, n reg.GPVirtual, pointers []pointer, body func(i int, k reg.Register)) {
	c.CMPQ(n, operand.Imm(32))
	c.JL(operand.LabelRef("rest"))
	c.Label("loop")
	body(0, nil)
	body(1, nil)
	step(c, pointers, n, 32)
	c.CMPQ(n, operand.Imm(32))
	c.JGE(operand.LabelRef("loop"))
	c.Label("rest")
	c.TESTQ(n, n)
	c.JLE(operand.LabelRef("done"))
	k := c.K()
	c.KMOVW(tailBits(c, n).As32(), k)
	body(0, k)
	step(c, pointers, n, 16)
	c.JMP(operand.LabelRef("rest"))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// each256 is each512 with 8 elements a register and no masks: it leaves fewer than 8 elements.
func each256(c *build.Context, n reg.GPVirtual, pointers []pointer, body func(i int)) {
	c.CMPQ(n, operand.Imm(16))
	c.JL(operand.LabelRef("rest"))
	c.Label("loop")
	body(0)
	body(1)
	step(c, pointers, n, 16)
	c.CMPQ(n, operand.Imm(16))
	c.JGE(operand.LabelRef("loop"))
	c.Label("rest")
	c.CMPQ(n, operand.Imm(8))
	c.JL(operand.LabelRef("done"))
	body(0)
	step(c, pointers, n, 8)
	c.Label("done")
}
