package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Go's assembler has no VEX form of VPDPBUSD, no VDPBF16PS and no tile instructions. They are kept under
// their own names until registers are allocated, then replaced by their bytes.

// byteLine is the operand of a BYTE line: the rest of the bytes and, as a comment, what they mean.
type byteLine string

func (b byteLine) Asm() string { return string(b) }

// encode replaces the instructions that the assembler does not know by their bytes.
func encode(f *ir.Function) error {
	for _, i := range f.Instructions() {
		var code []byte
		var err error
		switch {
		case i.Opcode == "VPDPBUSD" && strings.HasSuffix(f.Name, "AVXVNNI"):
			code, err = encodeVPDPBUSD(i.Operands)
		case i.Opcode == "VDPBF16PS":
			code, err = encodeVDPBF16PS(i.Operands)
		case isTileOpcode[i.Opcode]:
			code, err = encodeTile(i.Opcode, i.Operands)
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", f.Name, i.Opcode, err)
		}
		i.Opcode, i.Operands = "BYTE", []operand.Op{byteLine(bytesText(code) + " // " + instructionText(i))}
	}
	return nil
}

func bytesText(code []byte) string {
	text := make([]string, len(code))
	for i, b := range code {
		text[i] = fmt.Sprintf("$0x%02x", b)
	}
	return strings.Join(text, "; BYTE ")
}

func instructionText(i *ir.Instruction) string {
	operands := make([]string, len(i.Operands))
	for k, op := range i.Operands {
		operands[k] = op.Asm()
	}
	return strings.TrimSpace(i.Opcode + " " + strings.Join(operands, ", "))
}

// markAVXVNNI states, before avo collects what a function requires, that VPDPBUSD will be the VEX form.
func markAVXVNNI(f *ir.Function) error {
	if !strings.HasSuffix(f.Name, "AVXVNNI") {
		return nil
	}
	for _, i := range f.Instructions() {
		if i.Opcode == "VPDPBUSD" {
			i.ISA = []string{"AVXVNNI"}
		}
	}
	return nil
}

// refuseEVEX refuses what processors without AVX-512 lack in the functions that are written for them.
func refuseEVEX(f *ir.Function) error {
	if !strings.HasSuffix(f.Name, "AVX2") && !strings.HasSuffix(f.Name, "AVXVNNI") {
		return nil
	}
	for _, isa := range f.ISA {
		if strings.HasPrefix(isa, "AVX512") {
			return fmt.Errorf("%s: requires %s", f.Name, isa)
		}
	}
	for _, i := range f.Instructions() {
		for _, r := range i.Registers() {
			if p, ok := r.(reg.Physical); ok && r.Kind() == reg.KindVector && p.PhysicalIndex() > 15 {
				return fmt.Errorf("%s: %s uses %s: more than 16 vector registers are alive", f.Name, i.Opcode, r.Asm())
			}
		}
	}
	return nil
}

// The field pp of a VEX prefix: the legacy prefix that it stands for.
const (
	noPrefix = iota
	prefix66
	prefixF3
	prefixF2
)

// A vex is an instruction of the opcode map 0F38 with W = 0, by the fields of its encoding.
type vex struct {
	pp, opcode int
	wide       bool // 256 bits
	reg        int  // ModRM.reg
	vvvv       int  // first source
	rm         operand.Op
	sib        bool // the memory operand must have a SIB byte
}

func (v vex) encode() ([]byte, error) {
	var x, b int
	var tail []byte
	switch rm := v.rm.(type) {
	case operand.Mem:
		base, index, err := baseAndIndex(rm)
		if err != nil {
			return nil, err
		}
		tail = address(v.reg&7, rm, base, index, v.sib)
		x, b = max(index, 0)>>3, base>>3
	default:
		n, err := registerNumber(rm)
		if err != nil {
			return nil, err
		}
		tail = []byte{byte(0xC0 | v.reg&7<<3 | n&7)}
		b = n >> 3
	}
	l := 0
	if v.wide {
		l = 1
	}
	head := []byte{
		0xC4,
		byte(^(v.reg>>3<<7|x<<6|b<<5)&0xE0 | 2),
		byte((^v.vvvv&15)<<3 | l<<2 | v.pp),
		byte(v.opcode),
	}
	return append(head, tail...), nil
}

// address returns ModRM, SIB and displacement of a memory operand; index is -1 if there is none.
func address(regField int, m operand.Mem, base, index int, sib bool) []byte {
	var mod int
	var displacement []byte
	switch {
	case m.Disp == 0 && base&7 != 5: // with base 5 it would mean "no base"
	case int(int8(m.Disp)) == m.Disp:
		mod, displacement = 1, []byte{byte(m.Disp)}
	default:
		mod, displacement = 2, []byte{byte(m.Disp), byte(m.Disp >> 8), byte(m.Disp >> 16), byte(m.Disp >> 24)}
	}
	if !sib && index < 0 && base&7 != 4 {
		return append([]byte{byte(mod<<6 | regField<<3 | base&7)}, displacement...)
	}
	scale := map[uint8]int{1: 0, 2: 1, 4: 2, 8: 3}[m.Scale]
	if index < 0 {
		index = 4 // none
	}
	return append([]byte{byte(mod<<6 | regField<<3 | 4), byte(scale<<6 | index&7<<3 | base&7)}, displacement...)
}

func baseAndIndex(m operand.Mem) (base, index int, err error) {
	if m.Symbol.Name != "" || int(int32(m.Disp)) != m.Disp {
		return 0, 0, fmt.Errorf("cannot encode %s", m.Asm())
	}
	if base, err = registerNumber(m.Base); err != nil {
		return 0, 0, err
	}
	index = -1
	if m.Index != nil {
		index, err = registerNumber(m.Index)
	}
	return base, index, err
}

// registerNumber returns the number of a register that VEX can name: one of 16.
func registerNumber(op operand.Op) (int, error) {
	r, ok := op.(reg.Physical)
	if !ok || r.PhysicalIndex() > 15 {
		return 0, fmt.Errorf("cannot encode %s", op.Asm())
	}
	return int(r.PhysicalIndex()), nil
}

// encodeVPDPBUSD encodes VPDPBUSD ymm/m256, ymm, ymm as VEX.256.66.0F38.W0 50 /r.
func encodeVPDPBUSD(ops []operand.Op) ([]byte, error) {
	if len(ops) != 3 || !operand.IsYMM(ops[1]) || !operand.IsYMM(ops[2]) {
		return nil, fmt.Errorf("wants three operands of 256 bits")
	}
	first, err := registerNumber(ops[1])
	if err != nil {
		return nil, err
	}
	dst, err := registerNumber(ops[2])
	if err != nil {
		return nil, err
	}
	return vex{pp: prefix66, opcode: 0x50, wide: true, reg: dst, vvvv: first, rm: ops[0]}.encode()
}

// dotBF16 adds to each element of sum the two products of pairs of bfloat16 in a and b.
func dotBF16(c *build.Context, a, b, sum reg.VecVirtual) {
	c.Instruction(&ir.Instruction{
		Opcode:   "VDPBF16PS",
		Operands: []operand.Op{a, b, sum},
		Inputs:   []operand.Op{a, b, sum},
		Outputs:  []operand.Op{sum},
		ISA:      []string{"AVX512BF16"},
	})
}

// encodeVDPBF16PS encodes VDPBF16PS zmm, zmm, zmm as EVEX.512.F3.0F38.W0 52 /r. The fifth bit of each
// register's number stands apart from the others, and all are inverted but those in ModRM.
func encodeVDPBF16PS(ops []operand.Op) ([]byte, error) {
	var n [3]int
	for i, op := range ops {
		if !operand.IsZMM(op) {
			return nil, fmt.Errorf("cannot encode %s", op.Asm())
		}
		n[i] = int(op.(reg.Physical).PhysicalIndex())
	}
	rm, vvvv, dst := n[0], n[1], n[2]
	return []byte{
		0x62,
		byte(^(dst>>3&1<<7|rm>>4<<6|rm>>3&1<<5|dst>>4<<4)&0xF0 | 2),
		byte((^vvvv&15)<<3 | 1<<2 | prefixF3),
		byte(2<<5 | (^vvvv>>4&1)<<3),
		0x52,
		byte(0xC0 | dst&7<<3 | rm&7),
	}, nil
}
