package simd

import "unsafe"

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
	if activations().tiles {
		packTiles(dst, src, m, k)
		return
	}
	packRows(dst, m, k, func(row, i int) uint8 { return src[row*k+i] })
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
	if activations().tiles {
		packTiles(dst, unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(src))), len(src)), m, k)
		for i := range dst {
			dst[i] ^= 0x80 // padding too, which zeros in the weights cancel
		}
		return
	}
	packRows(dst, m, k, func(row, i int) uint8 { return uint8(src[row*k+i]) ^ 0x80 })
}

// packTiles orders bytes for tiles: of each block of rows one tile after the other.
func packTiles(dst, src []uint8, m, k int) {
	l := activations()
	clear(dst)
	for row := range m {
		from := src[row*k : (row+1)*k]
		to := row/l.rows*l.blockBytes(k) + row%l.rows*kMultiple
		for len(from) > 0 {
			n := copy(dst[to:to+kMultiple], from)
			from, to = from[n:], to+l.rows*kMultiple
		}
	}
}

func packRows(dst []uint8, m, k int, at func(row, i int) uint8) {
	l := activations()
	clear(dst)
	step := 4 * l.elementBytes()
	for row := range m {
		first := row/l.rows*l.blockBytes(k) + row%l.rows*step
		for i := range k {
			to := first + i/4*step*l.rows
			if l.words {
				dst[to+2*wordOrder[i%4]] = at(row, i)
			} else {
				dst[to+i%4] = at(row, i)
			}
		}
	}
}

// wordOrder is where the word of each k of a step stands.
var wordOrder = [4]int{0, 2, 1, 3}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
