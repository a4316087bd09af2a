package simd

import (
	"encoding/binary"
	"unsafe"
)

// Packed weights have one layout on all levels, so that a file of them serves every machine:
//
//	[n/16] panels of [k/4] steps of [16 columns][4 k]
//
// of which n is filled up to a multiple of panelColumns and k to one of kMultiple with zeros. Sixteen
// steps of a panel are 1024 contiguous bytes: one AMX tile.
const (
	panelColumns = 16
	kMultiple    = 64
)

// PackedI8Size returns how many elements PackI8 fills.
//
//	16*ceil(n/16) * 64*ceil(k/64)
//
// Panics: if n or k is negative.
// Cost:   no allocation.
func PackedI8Size(n, k int) int {
	if n < 0 || k < 0 {
		panic("simd: PackedI8Size: negative size")
	}
	return roundUp(n, panelColumns) * roundUp(k, kMultiple)
}

// PackI8 orders weights for the int8 matrix products.
//
//	dst[j/16][i/4][j%16][i%4] = src[j*k+i], zeros beyond n and k
//
// Shape:  dst (PackedI8Size(n, k)), src (n, k): one row an output channel, as models store them.
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
// Exact:  the same bytes on every level, so packed weights may be kept in files.
func PackI8(dst, src []int8, n, k int) {
	if n < 0 || k < 0 || len(src) != n*k || len(dst) != PackedI8Size(n, k) {
		panic("simd: PackI8: lengths do not match n and k")
	}
	clear(dst)
	panel := panelColumns * roundUp(k, kMultiple)
	for j := range n {
		first := j/panelColumns*panel + j%panelColumns*4
		for i, v := range src[j*k : (j+1)*k] {
			dst[first+i/4*4*panelColumns+i%4] = v
		}
	}
}

// ColumnSumsI8 returns in dst the sum of the weights of each output channel, which corrects products of
// activations that are stored with an offset.
//
//	for j := range n { dst[j] = sum(src[j*k:(j+1)*k]) }
//
// Shape:  dst (n,), src (n, k) as for PackI8.
// Panics: if a length is not that of the shape.
// Cost:   no allocation.
// Exact:  every level gives the exact sum, modulo 2^32.
func ColumnSumsI8(dst []int32, src []int8, n, k int) {
	if n < 0 || k < 0 || len(src) != n*k || len(dst) != n {
		panic("simd: ColumnSumsI8: lengths do not match n and k")
	}
	for j := range dst {
		var sum int32
		for _, v := range src[j*k : (j+1)*k] {
			sum += int32(v)
		}
		dst[j] = sum
	}
}

// A layoutU8 says how the level that runs wants packed activations: blocks of rows, in each of which the
// four k of a step stand together, row after row. Words hold the k in the order 0, 2, 1, 3 of 16 bits
// each, so that VPMADDWD takes the even ones and then the odd ones of a column of weights. In tiles 64 k of
// a row stand together.
type layoutU8 struct {
	rows  int // of a block
	words bool
	tiles bool
}

func (l layoutU8) elementBytes() int {
	if l.words {
		return 2
	}
	return 1
}

// blockBytes returns the size of a block of rows of k columns.
func (l layoutU8) blockBytes(k int) int { return l.rows * roundUp(k, kMultiple) * l.elementBytes() }

// PackedU8Size returns how many bytes PackU8 fills at the level that runs. Activations are packed for
// one level and never kept in files.
//
// Panics: if m or k is negative.
// Cost:   no allocation.
func PackedU8Size(m, k int) int {
	if m < 0 || k < 0 {
		panic("simd: PackedU8Size: negative size")
	}
	l := activations()
	return (m + l.rows - 1) / l.rows * l.blockBytes(k)
}

// PackU8 orders activations for the int8 matrix products at the level that runs.
//
// Shape:  dst (PackedU8Size(m, k)), src (m, k).
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
func PackU8(dst, src []uint8, m, k int) {
	if m < 0 || k < 0 || len(src) != m*k || len(dst) != PackedU8Size(m, k) {
		panic("simd: PackU8: lengths do not match m and k")
	}
	packRows(dst, src, m, k, 0)
}

// PackI8U8 orders signed activations for the int8 matrix products at the level that runs: stored with
// their sign bit inverted, which adds 128. GemmI8I8 takes it off again.
//
// Shape:  dst (PackedU8Size(m, k)), src (m, k).
// Panics: if a length is not that of the shape.
// Cost:   no allocation; dst and src must not overlap.
func PackI8U8(dst []uint8, src []int8, m, k int) {
	if m < 0 || k < 0 || len(src) != m*k || len(dst) != PackedU8Size(m, k) {
		panic("simd: PackI8U8: lengths do not match m and k")
	}
	packRows(dst, unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(src))), len(src)), m, k, 0x80)
}

// packRows orders bytes, of which the bits of flip are inverted.
func packRows(dst, src []uint8, m, k int, flip uint8) {
	if k == 0 {
		return
	}
	l := activations()
	clear(dst)
	for row := range m {
		l.packRow(dst[row/l.rows*l.blockBytes(k):], src[row*k:(row+1)*k], row%l.rows, flip)
	}
}

// packRow orders a row, or a part of one that begins at a multiple of kMultiple, in a block that begins
// there too.
func (l layoutU8) packRow(block, row []uint8, rowOfBlock int, flip uint8) {
	switch {
	case l.tiles:
		packTileRow(block[rowOfBlock*kMultiple:], row, l.rows*kMultiple, flip)
	case l.words:
		packWords(block[rowOfBlock*8:], row, l.rows*8, flip)
	default:
		packBytes(block[rowOfBlock*4:], row, l.rows*4, flip)
	}
}

// packTileRow puts each 64 bytes of a row step bytes after the ones before.
func packTileRow(dst, row []uint8, step int, flip uint8) {
	for {
		n := copy(dst[:kMultiple], row)
		if flip != 0 {
			for i := range dst[:n] {
				dst[i] ^= flip
			}
		}
		if row = row[n:]; len(row) == 0 {
			return
		}
		dst = dst[step:]
	}
}

// packBytes puts each four bytes of a row step bytes after the ones before.
func packBytes(dst, row []uint8, step int, flip uint8) {
	flips := uint32(flip) * 0x01010101
	to := 0
	for ; len(row) >= 4; row = row[4:] {
		binary.LittleEndian.PutUint32(dst[to:], binary.LittleEndian.Uint32(row)^flips)
		to += step
	}
	for i, v := range row {
		dst[to+i] = v ^ flip
	}
}

// packWords puts each four bytes of a row, as words in the order 0, 2, 1, 3, step bytes after the ones
// before.
func packWords(dst, row []uint8, step int, flip uint8) {
	flips := uint32(flip) * 0x01010101
	to := 0
	for ; len(row) >= 4; row = row[4:] {
		v := uint64(binary.LittleEndian.Uint32(row) ^ flips)
		binary.LittleEndian.PutUint64(dst[to:], v&0xff|v>>16&0xff<<16|v>>8&0xff<<32|v>>24<<48)
		to += step
	}
	for i, v := range row {
		dst[to+2*wordOrder[i]] = v ^ flip
	}
}

// wordOrder is where the word of each k of a step stands.
var wordOrder = [4]int{0, 2, 1, 3}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
