package simd

import "unsafe"

// stripI8 is what the assembly of a column of whole tiles gets, which it computes and converts in one go:
// fields of eight bytes, read in this order by the generator.
type stripI8 struct {
	a     *uint8 // first block of rows
	aStep int    // bytes from one block to the next, as all steps
	aTile int    // bytes from one tile to the next
	w     *int8  // first panel
	wStep int
	start *int32 // what the sums of every row start from
	turns int    // of the loop, kTurn k each; at least 1
	tiles int    // at least 1

	scale, offset, bias *float32

	// Of each row of a tile one.
	rowScale      *float32
	rowScaleTile  int
	rowOffset     *float32
	rowOffsetTile int
	inverse       *float32
	inverseTile   int

	limits     *[3]float32
	activation int
	dst        unsafe.Pointer
	dstStep    int // bytes from one row to the next
}

// maxStripWork bounds the multiplications of one call of assembly: the scheduler cannot interrupt it.
const maxStripWork = 4 << 20

var onesF32 = [maxTileRows]float32{1, 1, 1, 1, 1, 1, 1, 1}

// stripTiles returns how many tiles of so many rows one call may compute and convert from row i on; 0 if
// they have to be computed one by one.
func (g *gemmI8) stripTiles(kind outputKind, i, rows, columns int) (tiles int) {
	if kind == toI32 || g.k == 0 || g.k > kCall || !hasStrip(g.level, rows, columns) {
		return 0
	}
	most := max(1, maxStripWork/(rows*columns*g.k))
	for left := g.m - i; tiles < most && left >= rows && tileRows(g.level, left) == rows; left -= rows {
		tiles++
	}
	return tiles
}

// strip computes tiles of columns from j on, rows from i on.
func (g *gemmI8) strip(out *output, start *int32, i, j, rows, columns, tiles int) {
	s := stripI8{
		a: &g.a[i/g.blockRows*g.blockBytes], aStep: g.blockBytes, aTile: rows / g.blockRows * g.blockBytes,
		w: &g.w[j/panelColumns*g.panelBytes], wStep: g.panelBytes,
		start: start, turns: (g.k + kTurn - 1) / kTurn, tiles: tiles,
		scale: &out.e.Scale[j], offset: columnsFrom(out.e.Offset, j), bias: columnsFrom(out.e.Bias, j),
		rowScale: &onesF32[0], rowOffset: &zerosF32[0], inverse: &out.inverse[0],
		limits: &out.limits, activation: int(out.e.Activation),
		dst: out.at(i, j), dstStep: out.n * outputBytes[out.kind],
	}
	if out.e.RowScale != nil {
		s.rowScale, s.rowScaleTile = &out.e.RowScale[i], 4*rows
	}
	if out.e.RowOffset != nil {
		s.rowOffset, s.rowOffsetTile = &out.e.RowOffset[i], 4*rows
	}
	if out.kind == toByte && len(out.q.Inverse) > 1 {
		s.inverse, s.inverseTile = &out.q.Inverse[i], 4*rows
	}
	runStripI8(g.level, out.kind, &s, rows, columns)
}
