package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
)

// A tile is one of the tile registers TMM0 to TMM7.
type tile int

// op returns the tile as an operand. Of avo's kinds of operands only a label's name is passed through
// as it is.
func (t tile) op() operand.Op { return operand.LabelRef(fmt.Sprintf("TMM%d", int(t))) }

func tileNumber(op operand.Op) (int, error) {
	var n int
	if _, err := fmt.Sscanf(op.Asm(), "TMM%d", &n); err != nil || n < 0 || n > 7 {
		return 0, fmt.Errorf("%s is no tile", op.Asm())
	}
	return n, nil
}

// Operands stand in the order of Go's assembler: sources first, the reverse of Intel's.
var (
	isTileOpcode = map[string]bool{
		"LDTILECFG": true, "STTILECFG": true, "TILERELEASE": true, "TILEZERO": true,
		"TILELOADD": true, "TILELOADDT1": true, "TILESTORED": true,
		"TDPBUSD": true, "TDPBSSD": true, "TDPBSUD": true, "TDPBUUD": true, "TDPBF16PS": true,
	}
	products = map[string]vex{
		"TDPBUUD": {pp: noPrefix, opcode: 0x5E}, "TDPBUSD": {pp: prefix66, opcode: 0x5E},
		"TDPBSUD": {pp: prefixF3, opcode: 0x5E}, "TDPBSSD": {pp: prefixF2, opcode: 0x5E},
		"TDPBF16PS": {pp: prefixF3, opcode: 0x5C},
	}
	loads = map[string]vex{
		"TILELOADD": {pp: prefixF2, opcode: 0x4B, sib: true}, "TILELOADDT1": {pp: prefix66, opcode: 0x4B, sib: true},
	}
	configurations = map[string]vex{
		"LDTILECFG": {pp: noPrefix, opcode: 0x49}, "STTILECFG": {pp: prefix66, opcode: 0x49},
	}
)

// tileInstruction adds a tile instruction. Its register operands may be virtual.
func tileInstruction(c *build.Context, opcode string, isa string, ops ...operand.Op) {
	i := &ir.Instruction{Opcode: opcode, Operands: ops, ISA: []string{isa}}
	for _, op := range ops {
		if m, ok := op.(operand.Mem); ok {
			i.Inputs = append(i.Inputs, m)
		}
	}
	c.Instruction(i)
}

func loadTileConfig(c *build.Context, m operand.Mem)  { tileInstruction(c, "LDTILECFG", "AMXTILE", m) }
func storeTileConfig(c *build.Context, m operand.Mem) { tileInstruction(c, "STTILECFG", "AMXTILE", m) }
func releaseTiles(c *build.Context)                   { tileInstruction(c, "TILERELEASE", "AMXTILE") }
func zeroTile(c *build.Context, t tile)               { tileInstruction(c, "TILEZERO", "AMXTILE", t.op()) }

// loadTile reads a tile whose rows lie m.Index bytes apart.
func loadTile(c *build.Context, m operand.Mem, t tile) {
	tileInstruction(c, "TILELOADD", "AMXTILE", m, t.op())
}

// loadTileOnce is loadTile with the hint that the memory is not needed again soon.
func loadTileOnce(c *build.Context, m operand.Mem, t tile) {
	tileInstruction(c, "TILELOADDT1", "AMXTILE", m, t.op())
}

func storeTile(c *build.Context, t tile, m operand.Mem) {
	tileInstruction(c, "TILESTORED", "AMXTILE", t.op(), m)
}

// multiplyTiles adds the product of the tiles a and b to sum. Of the opcode's two type letters the first
// is that of a.
func multiplyTiles(c *build.Context, opcode string, b, a, sum tile) {
	isa := "AMXINT8"
	if strings.HasPrefix(opcode, "TDPBF16") {
		isa = "AMXBF16"
	}
	tileInstruction(c, opcode, isa, b.op(), a.op(), sum.op())
}

func encodeTile(opcode string, ops []operand.Op) ([]byte, error) {
	switch {
	case opcode == "TILERELEASE":
		return []byte{0xC4, 0xE2, 0x78, 0x49, 0xC0}, nil
	case opcode == "TILEZERO":
		t, err := tileNumber(ops[0])
		return []byte{0xC4, 0xE2, 0x7B, 0x49, byte(0xC0 | t<<3)}, err
	case opcode == "TILESTORED":
		return encodeTileMove(vex{pp: prefixF3, opcode: 0x4B, sib: true}, ops[1], ops[0])
	}
	if v, ok := configurations[opcode]; ok {
		v.rm = ops[0]
		return v.encode()
	}
	if v, ok := loads[opcode]; ok {
		return encodeTileMove(v, ops[0], ops[1])
	}
	var numbers [3]int
	for i, op := range ops {
		t, err := tileNumber(op)
		if err != nil {
			return nil, err
		}
		numbers[i] = t
	}
	b, a, sum := numbers[0], numbers[1], numbers[2]
	if a == b || a == sum || b == sum {
		return nil, fmt.Errorf("two of the tiles are the same")
	}
	v := products[opcode]
	return []byte{0xC4, 0xE2, byte((^b&15)<<3 | v.pp), byte(v.opcode), byte(0xC0 | sum<<3 | a)}, nil
}

func encodeTileMove(v vex, memory, register operand.Op) ([]byte, error) {
	m, ok := memory.(operand.Mem)
	if !ok || m.Index == nil {
		return nil, fmt.Errorf("%s has no index register for the distance of rows", memory.Asm())
	}
	t, err := tileNumber(register)
	if err != nil {
		return nil, err
	}
	v.reg, v.rm = t, m
	return v.encode()
}
