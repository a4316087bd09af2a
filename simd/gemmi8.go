package simd

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

var gemmI8Code = cpu.Implement("GemmU8I8",
	cpu.Variant{Level: cpu.AMX}, cpu.Variant{Level: cpu.AVX512VNNI}, cpu.Variant{Level: cpu.AVX512},
	cpu.Variant{Level: cpu.AVXVNNI}, cpu.Variant{Level: cpu.AVX2})

// maxGemmI8 is the largest k for which no sum of products can overflow: 65536*255*128 < 2^31.
const maxGemmI8 = 65536

// GemmU8I8 multiplies packed activations by packed weights.
//
//	for i := range m { for j := range n { for l := range k { dst[i*n+j] += int32(a[i*k+l]) * int32(w[j*k+l]) } } }
//
// where a and w stand for what was packed, and dst starts from zero.
//
// Shape:  dst (m, n); a from PackU8 of (m, k), w from PackI8 of (n, k); k <= 65536 (no overflow at 255*-128).
// Units:  quanta; multiply by the scales of row and column for reals.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  every level gives the exact sums.
// Source: the definition.
func GemmU8I8(dst []int32, a []uint8, w []int8, m, n, k int) {
	if !isGemmI8(len(dst), a, w, m, n, k) {
		panic("simd: GemmU8I8: lengths do not match m, n and k")
	}
	if k > maxGemmI8 {
		panic("simd: GemmU8I8: k too large, the sum may overflow")
	}
	g := gemmI8{a: a, w: w, m: m, n: n, k: k}
	g.run(&output{kind: toI32, dst: unsafe.Pointer(unsafe.SliceData(dst)), n: n})
}

// GemmI8I8 multiplies packed signed activations by packed weights.
//
//	for i := range m { for j := range n { for l := range k { dst[i*n+j] += int32(a[i*k+l]) * int32(w[j*k+l]) } } }
//
// where a and w stand for what was packed, and dst starts from zero.
//
// Shape:  dst (m, n); a from PackI8U8 of (m, k), w from PackI8 of (n, k), sums (n,) from ColumnSumsI8 of
// the same weights; k <= 65536.
// Units:  quanta; multiply by the scales of row and column for reals.
// Panics: if a length is not that of the shape, or k is too large.
// Cost:   no allocation; nothing may overlap dst.
// Exact:  every level gives the exact sums.
// Source: a = u - 128 with u stored, so the sum of a*w is that of u*w less 128 times that of w.
func GemmI8I8(dst []int32, a []uint8, w []int8, sums []int32, m, n, k int) {
	if !isGemmI8(len(dst), a, w, m, n, k) || len(sums) != n {
		panic("simd: GemmI8I8: lengths do not match m, n and k")
	}
	if k > maxGemmI8 {
		panic("simd: GemmI8I8: k too large, the sum may overflow")
	}
	g := gemmI8{a: a, w: w, m: m, n: n, k: k, columnSums: sums, zero: 128}
	g.run(&output{kind: toI32, dst: unsafe.Pointer(unsafe.SliceData(dst)), n: n})
}

func isGemmI8(dst int, a []uint8, w []int8, m, n, k int) bool {
	return m >= 0 && n >= 0 && k >= 0 && dst == m*n && len(a) == PackedU8Size(m, k) && len(w) == PackedI8Size(n, k)
}

// gemmI8 is one matrix product, computed tile by tile.
type gemmI8 struct {
	a          []uint8
	w          []int8
	m, n, k    int
	columnSums []int32 // nil if zero is 0
	zero       int32   // what activation 0 is stored as

	// Of the level that runs.
	level      cpu.Level
	blockRows  int // of packed activations
	blockBytes int
	panelBytes int // of packed weights
}

// The largest tile of any level, in rows and in panels of columns.
const (
	maxTileRows   = 8
	maxTilePanels = 3
	maxTileCols   = maxTilePanels * panelColumns
)

// tileI8 is what the assembly of a tile gets: fields of eight bytes, read in this order by the generator.
type tileI8 struct {
	a         *uint8 // first block of rows
	aStep     int    // bytes from one block to the next
	w         *int8  // first panel
	wStep     int    // bytes from one panel to the next
	start     *int32 // what the sums start from
	startStep int    // bytes from one row of it to the next; 0: all rows start alike
	sums      *int32
	sumsStep  int // bytes from one row to the next
	turns     int // of the loop, kTurn k each; at least 1
}

// kTurn is how many k one turn of a tile's loop takes.
const kTurn = 16

// kCall is the most k that one call of assembly takes: the scheduler cannot interrupt it.
const kCall = 8192

// run computes the product. Whole tiles go to the output directly, others by way of a scratch tile, which
// stays in the first level cache.
func (g *gemmI8) run(out *output) {
	level := gemmI8Code.Level()
	if level == cpu.AMX && g.k > 0 {
		gemmI8AMX(g, out)
		return
	}
	layout := activations()
	g.level, g.blockRows, g.blockBytes = level, layout.rows, layout.blockBytes(g.k)
	g.panelBytes = panelColumns * roundUp(g.k, kMultiple)
	var start [maxTileCols]int32
	var memory [maxTileRows*maxTileCols + lineBytes/4]int32
	scratch := &memory[toLine(unsafe.Pointer(&memory))/4]
	for j := 0; j < g.n; {
		panels := min(tilePanels(level), (g.n-j+panelColumns-1)/panelColumns)
		columns := min(panels*panelColumns, g.n-j)
		g.startFrom(start[:columns], j)
		for i := 0; i < g.m; {
			rows := tileRows(level, g.m-i)
			if tiles := g.stripTiles(out.kind, i, rows, columns); tiles > 0 {
				g.strip(out, &start[0], i, j, rows, columns, tiles)
				i += tiles * rows
				continue
			}
			t := tileI8{
				a: unsafe.SliceData(g.a[i/g.blockRows*g.blockBytes:]), aStep: g.blockBytes,
				w: unsafe.SliceData(g.w[j/panelColumns*g.panelBytes:]), wStep: g.panelBytes,
				start: &start[0], sums: scratch, sumsStep: 4 * maxTileCols,
			}
			direct := out.kind == toI32 && i+rows <= g.m && columns == panels*panelColumns
			if direct {
				t.sums, t.sumsStep = (*int32)(out.at(i, j)), 4*g.n
			}
			g.tile(t, rows, panels)
			if !direct {
				out.store(scratch, i, j, min(rows, g.m-i), columns)
			}
			i += rows
		}
		j += columns
	}
}

const lineBytes = 64 // of a cache line

// toLine returns how many bytes after p the next cache line begins. A vector that straddles two costs
// twice as much to load or to store.
func toLine(p unsafe.Pointer) int { return int(-uintptr(p) % lineBytes) }

// startFrom fills start with what the sums of the columns from j on start from.
func (g *gemmI8) startFrom(start []int32, j int) {
	for c := range start {
		start[c] = 0
		if g.zero != 0 {
			start[c] = -g.zero * g.columnSums[j+c]
		}
	}
}

// tile computes one tile, in as many calls as k needs.
func (g *gemmI8) tile(t tileI8, rows, panels int) {
	if g.k == 0 {
		tileI8Generic(&t, rows, panels)
		return
	}
	for k := 0; ; k += kCall {
		t.turns = (min(kCall, g.k-k) + kTurn - 1) / kTurn
		runTileI8(g.level, &t, rows, panels)
		if k+kCall >= g.k {
			return
		}
		t.a = (*uint8)(unsafe.Add(unsafe.Pointer(t.a), kCall*t.aStep/roundUp(g.k, kMultiple)))
		t.w = (*int8)(unsafe.Add(unsafe.Pointer(t.w), kCall*panelColumns))
		t.start, t.startStep = t.sums, t.sumsStep
	}
}

// genericRows is the number of rows of a tile, and of a block, in plain Go.
const genericRows = 4

// tileI8Generic computes a tile of genericRows.
func tileI8Generic(t *tileI8, rows, panels int) {
	bytes := t.turns * kTurn * panelColumns
	for j := range panels {
		panel := unsafe.Slice((*int8)(unsafe.Add(unsafe.Pointer(t.w), j*t.wStep)), bytes)
		for r := range rows {
			w := panel
			a := unsafe.Slice((*uint8)(unsafe.Add(unsafe.Pointer(t.a), r/genericRows*t.aStep)), t.turns*kTurn*genericRows)
			start := (*[panelColumns]int32)(unsafe.Add(unsafe.Pointer(t.start), r*t.startStep+4*panelColumns*j))
			sums := *start
			for len(a) > 0 {
				x := a[4*(r%genericRows):][:4]
				x0, x1, x2, x3 := int32(x[0]), int32(x[1]), int32(x[2]), int32(x[3])
				for c := range sums {
					y := w[4*c:][:4]
					sums[c] += x0*int32(y[0]) + x1*int32(y[1]) + x2*int32(y[2]) + x3*int32(y[3])
				}
				a, w = a[4*genericRows:], w[4*panelColumns:]
			}
			*(*[panelColumns]int32)(unsafe.Add(unsafe.Pointer(t.sums), r*t.sumsStep+4*panelColumns*j)) = sums
		}
	}
}
