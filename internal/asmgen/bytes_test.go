package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A line of bytes and the instruction that its comment names.
type line struct {
	where string
	code  []byte
	says  string
}

// TestByteLines disassembles every BYTE line of the project's assembly: it must be one instruction, the
// one that its comment names.
func TestByteLines(t *testing.T) {
	var lines []line
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".s" {
			return err
		}
		text, err := os.ReadFile(path)
		lines = append(lines, byteLines(t, path, text)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		t.Fatal("no BYTE lines found")
	}
	checkDisassembly(t, lines)
}

// TestEncoding disassembles what the encoder writes for every opcode and all forms of operands, so that
// what no generator needs yet is right as well.
func TestEncoding(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	gps := []reg.Register{reg.RAX, reg.RCX, reg.RDX, reg.RBX, reg.RBP, reg.RSI, reg.RDI, reg.R8, reg.R9,
		reg.R10, reg.R11, reg.R12, reg.R13, reg.R14, reg.R15}
	address := func(indexed bool) operand.Mem {
		m := operand.Mem{Base: gps[r.IntN(len(gps))]}
		m.Disp = []int{0, 0, 8, -8, 127, -128, 128, -129, 1 << 20, -1 << 20}[r.IntN(10)]
		if indexed {
			m.Index, m.Scale = gps[r.IntN(len(gps))], uint8(1)<<r.IntN(4)
		}
		return m
	}
	allZ := []operand.Op{reg.Z0, reg.Z7, reg.Z8, reg.Z15, reg.Z16, reg.Z23, reg.Z24, reg.Z31}
	c := build.NewContext()
	function(c, "tiles", "func()")
	for range 300 {
		p := r.Perm(8)
		loadTileConfig(c, address(r.IntN(2) == 0))
		storeTileConfig(c, address(r.IntN(2) == 0))
		loadTile(c, address(true), tile(p[0]))
		loadTileOnce(c, address(true), tile(p[1]))
		storeTile(c, tile(p[2]), address(true))
		zeroTile(c, tile(p[3]))
		releaseTiles(c)
		for opcode := range products {
			multiplyTiles(c, opcode, tile(p[4]), tile(p[5]), tile(p[6]))
		}
	}
	c.RET()
	function(c, "vectorsAVXVNNI", "func()")
	vectors := []operand.Op{reg.Y0, reg.Y1, reg.Y7, reg.Y8, reg.Y15}
	for range 300 {
		y := make([]operand.Op, 3)
		for i := range y {
			y[i] = vectors[r.IntN(len(vectors))]
		}
		if r.IntN(2) == 0 {
			y[0] = address(r.IntN(2) == 0)
		}
		c.VPDPBUSD(y[0], y[1], y[2])
	}
	c.RET()
	function(c, "dotsAVX512BF16", "func()")
	for range 300 {
		z := func() operand.Op { return allZ[r.IntN(len(allZ))] }
		a, b, sum := z(), z(), z()
		c.Instruction(&ir.Instruction{Opcode: "VDPBF16PS", Operands: []operand.Op{a, b, sum}})
	}
	c.RET()
	text, err := assemble(func(into *build.Context) { *into = *c })
	if err != nil {
		t.Fatal(err)
	}
	checkDisassembly(t, byteLines(t, "tested", text))
}

func byteLines(t *testing.T, path string, text []byte) (lines []line) {
	s := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; s.Scan(); n++ {
		code, says, _ := strings.Cut(strings.TrimSpace(s.Text()), " // ")
		if !regexp.MustCompile(`^(BYTE|WORD|LONG|QUAD)\b`).MatchString(code) {
			continue
		}
		l := line{where: fmt.Sprintf("%s:%d", path, n), says: says}
		for _, b := range strings.Split(code, ";") {
			v, err := strconv.ParseUint(strings.TrimLeft(b, "BYTE $"), 0, 8)
			if err != nil {
				t.Fatalf("%s: %v", l.where, err)
			}
			l.code = append(l.code, byte(v))
		}
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// spacing keeps instructions apart in the disassembled file, so that bytes too many or too few of one do
// not become part of the next. It is filled with NOPs.
const spacing = 32

var disassembled = regexp.MustCompile(`(?m)^\s*([0-9a-f]+):\t([0-9a-f ]+)\t(.*)$`)

func checkDisassembly(t *testing.T, lines []line) {
	t.Helper()
	if _, err := exec.LookPath("objdump"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs objdump (Debian: apt-get install binutils)")
	}
	image := bytes.Repeat([]byte{0x90}, len(lines)*spacing)
	for i, l := range lines {
		copy(image[i*spacing:], l.code)
	}
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("objdump", "-D", "-w", "-b", "binary", "-m", "i386:x86-64", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[int]line)
	for _, m := range disassembled.FindAllSubmatch(out, -1) {
		offset, err := strconv.ParseInt(string(m[1]), 16, 0)
		if err != nil {
			t.Fatal(err)
		}
		found[int(offset)] = line{code: make([]byte, len(strings.Fields(string(m[2])))), says: inGoSyntax(string(m[3]))}
	}
	for i, l := range lines {
		got := found[i*spacing]
		if got.says != l.says || len(got.code) != len(l.code) {
			t.Errorf("%s: %x is %q of %d bytes, the comment says %q", l.where, l.code, got.says, len(got.code), l.says)
		}
	}
	t.Logf("%d instructions disassembled", len(lines))
}

var atntMemory = regexp.MustCompile(`(-?0x[0-9a-f]+)?\(%r(\w+)(?:,%r(\w+),(\d))?\)`)

// inGoSyntax turns an instruction as objdump words it into what Go's assembler would call it.
func inGoSyntax(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "{vex} ")
	s = atntMemory.ReplaceAllStringFunc(s, func(m string) string {
		part := atntMemory.FindStringSubmatch(m)
		out := ""
		if part[1] != "" {
			d, err := strconv.ParseInt(part[1], 0, 64)
			if err != nil {
				return m
			}
			if d != 0 {
				out = strconv.FormatInt(d, 10)
			}
		}
		out += "(" + goRegister(part[2]) + ")"
		if part[3] != "" {
			out += "(" + goRegister(part[3]) + "*" + part[4] + ")"
		}
		return out
	})
	s = strings.NewReplacer("%tmm", "TMM", "%ymm", "Y", "%zmm", "Z", ",", ", ").Replace(s)
	opcode, operands, _ := strings.Cut(s, " ")
	return strings.TrimSpace(strings.ToUpper(opcode) + " " + strings.TrimSpace(operands))
}

// goRegister returns Go's name of a 64-bit register, given the assembler's without its r.
func goRegister(name string) string {
	if name[0] >= '0' && name[0] <= '9' {
		return "R" + name
	}
	return strings.ToUpper(name)
}

func TestRefuseEVEX(t *testing.T) {
	for name, generate := range map[string]func(*build.Context){
		"instruction": func(c *build.Context) { c.VPXORD(c.YMM(), c.YMM(), c.YMM()) },
		"mask":        func(c *build.Context) { c.KXORW(c.K(), c.K(), c.K()) },
		"registers": func(c *build.Context) {
			var y [17]reg.VecVirtual
			for i := range y {
				y[i] = c.YMM()
				c.VPXOR(y[i], y[i], y[i])
			}
			for i := range y {
				c.VPADDD(y[0], y[i], y[0])
			}
		},
	} {
		for _, level := range []string{"AVX2", "AVXVNNI", "AVX512"} {
			_, err := assemble(func(c *build.Context) {
				function(c, "f"+level, "func()")
				generate(c)
				c.RET()
			})
			if refused := err != nil; refused != (level != "AVX512") {
				t.Errorf("%s in a function of level %s: error %v", name, level, err)
			}
		}
	}
}
