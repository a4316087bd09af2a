package main

import (
	"fmt"
	"slices"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Bytes of a tile of 16 rows, and how far its rows lie apart wherever tiles stand in memory.
const (
	tileBytes = 1024
	tileRow   = 64
)

// In all tile kernels TMM0 to TMM3 hold sums, TMM4 and TMM5 activations, TMM6 and TMM7 weights.
const (
	activations0, activations1 tile = 4, 5
	weights0, weights1         tile = 6, 7
)

// maxPairs is how many blocks of 32 rows one call takes; simd's amxRows says the same in rows.
const maxPairs = 4

// gemmAMX writes the matrix products on tiles. Package simd's amxGemm says what they get.
func gemmAMX(c *build.Context) {
	tileConfigs(c)
	constants := epilogueConstants(c)
	for _, k := range []amxKernel{
		{"gemmU8I8I32", "TDPBUSD", sumsI32},
		{"gemmU8I8F32", "TDPBUSD", reals("F32", 4, constants)},
		{"gemmU8I8BF16", "TDPBUSD", reals("BF16", 2, constants)},
		{"gemmU8I8Byte", "TDPBUSD", reals("Byte", 1, constants)},
		{"gemmBF16", "TDPBF16PS", sumsF32},
	} {
		k.blocks(c)
		k.strip(c)
	}
}

const tileConfigsName = "tileConfigs"

// tileConfigs holds the configurations for 1 to 16 rows of activations: 64 bytes each.
func tileConfigs(c *build.Context) {
	c.StaticGlobal(tileConfigsName)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for rows := 1; rows <= 16; rows++ {
		config := [64]byte{0: 1} // the palette
		for t := range 8 {
			config[16+2*t] = tileRow
			config[48+t] = byte(rows)
			if tile(t) == weights0 || tile(t) == weights1 {
				config[48+t] = 16
			}
		}
		for i := 0; i < len(config); i += 8 {
			var v uint64
			for b := range 8 {
				v |= uint64(config[i+b]) << (8 * b)
			}
			c.AddDatum((rows-1)*len(config)+i, operand.U64(v))
		}
	}
}

// An amxKernel is a product and what becomes of its sums.
type amxKernel struct {
	name    string
	product string
	rest    sink
}

// A sink turns sums into what is stored, a row of a block at a time.
type sink struct {
	elementBytes int
	// columns loads what belongs to the columns of a block, the first of which is at index g.tmp.
	columns func(c *build.Context, g *amxCode)
	// row stores a row at g.out. For each mask in g.masks there is a vector of sums; its terms still
	// have to be added up.
	row func(c *build.Context, g *amxCode, sums [][]operand.Mem)
}

// amxCode is a kernel while it is written: its registers and the places in its frame.
type amxCode struct {
	amxKernel
	args reg.GPVirtual

	a, w        [2]reg.GPVirtual // activations and weights of this step
	pitch       reg.GPVirtual    // tileRow
	k           reg.GPVirtual    // steps left
	ahead       reg.GPVirtual    // weights that are needed soon
	tmp         reg.GPVirtual
	src         reg.GPVirtual // sums of the row to be stored
	rows        reg.GPVirtual // rows to be stored yet
	turn        reg.GPVirtual // of these, in the loop that runs
	out         reg.GPVirtual // where the row goes
	resultPitch reg.GPVirtual // bytes from one row of the result to the next
	params      reg.GPVirtual // what belongs to that row

	masks     []reg.OpmaskVirtual         // of the columns of the block to be stored, one for each 16
	constants map[string][]reg.VecVirtual // of these columns

	zero, half, one reg.VecVirtual // of reals
	storeVector     func(i int, y reg.VecVirtual, mask reg.Register)

	frame  map[string]operand.Mem
	labels int
}

// amxFields are the fields of simd's amxGemm, all of eight bytes, in order.
var amxFields = []string{
	"a", "w", "out", "rows", "columns", "steps", "chunk", "rowBytes", "ahead",
	"start", "scale", "offset", "bias", "params", "limits", "activation",
}

func (g *amxCode) arg(name string) operand.Mem {
	i := slices.Index(amxFields, name)
	if i < 0 {
		panic("simd's amxGemm has no field " + name)
	}
	return operand.Mem{Base: g.args, Disp: 8 * i}
}

// newLabel returns a label that the function does not have yet.
func (g *amxCode) newLabel(name string) string {
	g.labels++
	return fmt.Sprintf("%s%d", name, g.labels)
}

// waiting are the places in the frame that describe the block whose sums wait to be stored.
var waiting = []string{"target", "waitingRows", "waitingOut", "waitingParams", "waitingColumn", "waitingCount"}

// begin writes the head of a kernel: its registers, its frame with places for locals and, from the next
// multiple of tileBytes on, for tiles. The block that waits at first has no rows.
func (k amxKernel) begin(c *build.Context, level string, masks, tiles int, locals ...string) *amxCode {
	c.Function(k.name + level)
	c.SignatureExpr(fmt.Sprintf("func(call *[%d]uint64)", len(amxFields)))
	g := &amxCode{amxKernel: k, frame: map[string]operand.Mem{}, constants: map[string][]reg.VecVirtual{}}
	for _, p := range []*reg.GPVirtual{&g.a[0], &g.a[1], &g.w[0], &g.w[1], &g.pitch, &g.k, &g.ahead, &g.tmp,
		&g.src, &g.rows, &g.turn, &g.out, &g.resultPitch, &g.params} {
		*p = c.GP64()
	}
	for range masks {
		g.masks = append(g.masks, c.K())
	}
	for _, name := range slices.Concat([]string{"scratch", "out", "column"}, waiting, locals) {
		g.frame[name] = c.AllocLocal(8)
	}
	room := c.AllocLocal((tiles+1)*tileBytes - 8)
	g.args = c.Load(c.Param("call"), c.GP64()).(reg.GPVirtual)
	c.LEAQ(room, g.src)
	c.ADDQ(operand.I32(tileBytes-1), g.src)
	c.ANDQ(operand.I32(-tileBytes), g.src)
	c.MOVQ(g.src, g.frame["scratch"])
	c.MOVQ(g.src, g.frame["target"])
	for _, name := range []string{"waitingRows", "waitingColumn", "waitingCount", "column"} {
		c.MOVQ(operand.I32(0), g.frame[name])
	}
	g.copyLocal(c, g.arg("out"), "out")
	c.MOVQ(g.arg("rowBytes"), g.resultPitch)
	c.MOVQ(operand.I32(tileRow), g.pitch)
	return g
}

// configure loads the configuration for the number of rows in g.tmp.
func (g *amxCode) configure(c *build.Context) {
	c.SHLQ(operand.Imm(6), g.tmp)
	c.LEAQ(operand.NewDataAddr(operand.NewStaticSymbol(tileConfigsName), 0), g.k)
	loadTileConfig(c, operand.Mem{Base: g.k, Index: g.tmp, Scale: 1, Disp: -64})
}

func (g *amxCode) load(c *build.Context, p reg.GPVirtual, disp int, t tile) {
	loadTile(c, operand.Mem{Base: p, Index: g.pitch, Scale: 1, Disp: disp}, t)
}

func (g *amxCode) store(c *build.Context, t tile, p reg.GPVirtual) {
	storeTile(c, t, operand.Mem{Base: p, Index: g.pitch, Scale: 1, Disp: int(t) * tileBytes})
}

// copyLocal sets a place in the frame to the value of another one or of a field.
func (g *amxCode) copyLocal(c *build.Context, from operand.Mem, to string) {
	c.MOVQ(from, g.tmp)
	c.MOVQ(g.tmp, g.frame[to])
}

// addTo adds g.tmp to a place in the frame.
func (g *amxCode) addTo(c *build.Context, name string) { c.ADDQ(g.tmp, g.frame[name]) }

// resume prepares for storing the block that waits.
func (g *amxCode) resume(c *build.Context) {
	c.MOVQ(g.frame["waitingCount"], g.tmp)
	bits := g.rows // set below
	c.MOVQ(operand.I32(-1), bits)
	c.BZHIQ(g.tmp, bits, bits)
	for i, k := range g.masks {
		if i > 0 {
			c.SHRQ(operand.Imm(16), bits)
		}
		c.KMOVW(bits.As32(), k)
	}
	c.MOVQ(g.frame["waitingColumn"], g.tmp)
	g.rest.columns(c, g)
	c.MOVQ(g.frame["waitingRows"], g.rows)
	c.MOVQ(g.frame["waitingOut"], g.out)
	c.MOVQ(g.frame["waitingParams"], g.params)
}

// finish stores the next eight rows of the block that waited, or as many as are left. Whoever has blocks
// of more than 16 rows passes over to the second half where the first ends.
func (g *amxCode) finish(c *build.Context, sums [][]operand.Mem, halves bool) {
	done, row := g.newLabel("stored"), g.newLabel("row")
	c.TESTQ(g.rows, g.rows)
	c.JZ(operand.LabelRef(done))
	c.MOVQ(operand.I32(8), g.turn)
	c.CMPQ(g.rows, g.turn)
	c.CMOVQLT(g.rows, g.turn)
	c.SUBQ(g.turn, g.rows)
	c.Label(row)
	g.rest.row(c, g, sums)
	c.ADDQ(operand.I32(tileRow), g.src)
	c.ADDQ(g.resultPitch, g.out)
	c.DECQ(g.turn)
	c.JNZ(operand.LabelRef(row))
	if halves {
		c.TESTQ(operand.I32(tileBytes-1), g.src)
		c.JNZ(operand.LabelRef(done))
		c.ADDQ(operand.I32(tileBytes), g.src)
	}
	c.Label(done)
}

// finishAll stores what is left of the block that waited.
func (g *amxCode) finishAll(c *build.Context, sums [][]operand.Mem, halves bool) {
	more, done := g.newLabel("more"), g.newLabel("all")
	c.Label(more)
	c.TESTQ(g.rows, g.rows)
	c.JZ(operand.LabelRef(done))
	g.finish(c, sums, halves)
	c.JMP(operand.LabelRef(more))
	c.Label(done)
}

// nextColumns goes on by count columns and jumps to label unless the last ones are done.
func (g *amxCode) nextColumns(c *build.Context, count int, label string) {
	c.ADDQ(operand.I32(int32(count*g.rest.elementBytes)), g.frame["out"])
	c.MOVQ(g.frame["column"], g.tmp)
	c.ADDQ(operand.I32(int32(count)), g.tmp)
	c.MOVQ(g.tmp, g.frame["column"])
	c.CMPQ(g.tmp, g.arg("columns"))
	c.JLT(operand.LabelRef(label))
}

// wait notes that the block of the columns from g.frame["column"] on waits, at most count of them. Its
// rows and its place are noted already.
func (g *amxCode) wait(c *build.Context, count int) {
	g.copyLocal(c, g.frame["column"], "waitingColumn")
	c.MOVQ(g.arg("columns"), g.tmp)
	c.SUBQ(g.frame["column"], g.tmp)
	c.MOVQ(operand.I32(int32(count)), g.k)
	c.CMPQ(g.tmp, g.k)
	c.CMOVQGT(g.k, g.tmp)
	c.MOVQ(g.tmp, g.frame["waitingCount"])
}

func (g *amxCode) end(c *build.Context, sums [][]operand.Mem, halves bool) {
	c.MOVQ(g.frame["target"], g.src)
	for t := range tile(4) {
		g.store(c, t, g.src)
	}
	g.resume(c)
	g.finishAll(c, sums, halves)
	releaseTiles(c)
	c.VZEROUPPER()
	c.RET()
}
