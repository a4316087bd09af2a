package quant

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

var encoderCode = cpu.Implement("Encoder",
	cpu.Variant{Level: cpu.AVX512VNNI, Needs: cpu.VBMI}, cpu.Variant{Level: cpu.AVX512VNNI},
	cpu.Variant{Level: cpu.AVXVNNI}, cpu.Variant{Level: cpu.AVX2})

// blockRows is the number of rows that stand together in a workspace. The rows of a text begin a block of
// their own; what its last block has beyond them is computed and never looked at.
const blockRows = 4

// keyBlock is the number of keys that stand together; those of a text begin a block of their own.
const keyBlock = 16

// A Workspace is the memory of a batch of texts on their way through an encoder. Its zero value is ready;
// it is used by one batch at a time, whose stages may run on several goroutines for different blocks.
//
// The layouts, of which rows are (block, row of it) and what is in brackets stands together:
//
//	state       float32 [block][hidden/16][4 rows][16]
//	activations uint8   [block][in/4][4 rows][4]
//	queries     uint8   [block][hidden/4][4 rows][4]
//	keys        int8    [head][key/16][size/4][16 keys][4]
//	values      int8    [head][key/4][size][4 keys]
//	inner       int16   [block][inner/16][rows 0, 1; rows 2, 3][4 quarters][2 rows][4]
//	scores      int16   [key/16][rows 0, 1; rows 2, 3][4 quarters][2 rows][4 keys]
//	shares      uint8   [key/4][4 rows][4 keys]
//
// so that four rows by sixteen columns are one line of cache once they are bytes, whichever stage writes
// them, and no stage has to reorder what it reads.
type Workspace struct {
	shape  Shape
	level  cpu.Level
	vbmi   bool // whether the level may use cpu.VBMI
	texts  []text
	blocks []block
	keys16 int // key blocks of all texts

	state       []float32
	activations []uint8
	rowScale    []float32 // of activations, by row
	rowLow      []float32
	queries     []uint8
	keys        []int8
	values      []int8
	keySums     []int32 // [head][key]: what a key's sums of products start from
	keyPlaces   []int   // of the keys of each block, in those of a head
	valuePlaces []int

	memory []byte
}

// text is one of a batch.
type text struct {
	tokens     int
	firstBlock int
	firstKeys  int // its first key block
}

// blocks is the number of blocks of the text's rows.
func (t text) blocks() int { return (t.tokens + blockRows - 1) / blockRows }

// keyBlocks is the number of blocks of its keys.
func (t text) keyBlocks() int { return (t.tokens + keyBlock - 1) / keyBlock }

// block is four rows of a text.
type block struct {
	text  int32
	index int32 // in its text
}

// Begin makes room for a batch of texts with these numbers of tokens, at least one each, and forgets the
// batch before.
//
// Cost: no allocation for a batch no larger than one before.
func (w *Workspace) Begin(shape Shape, tokens []int) {
	w.shape = shape
	w.level = encoderCode.Level()
	w.vbmi = encoderCode.Variant().Needs&cpu.VBMI != 0
	w.texts, w.blocks, w.keys16 = w.texts[:0], w.blocks[:0], 0
	for i, n := range tokens {
		w.texts = append(w.texts, text{tokens: n, firstBlock: len(w.blocks), firstKeys: w.keys16})
		for b := range (n + blockRows - 1) / blockRows {
			w.blocks = append(w.blocks, block{text: int32(i), index: int32(b)})
		}
		w.keys16 += (n + keyBlock - 1) / keyBlock
	}
	rows, keys := w.room()
	h := shape.Hidden
	c := carver{memory: w.memory}
	for range 2 { // the first round counts
		w.state = carve[float32](&c, rows*h)
		w.activations = carve[uint8](&c, rows*h)
		w.rowScale = carve[float32](&c, rows)
		w.rowLow = carve[float32](&c, rows)
		w.queries = carve[uint8](&c, rows*h)
		w.keys = carve[int8](&c, keys*h)
		w.values = carve[int8](&c, keys*h)
		w.keySums = carve[int32](&c, keys*shape.Heads)
		w.keyPlaces = carve[int](&c, len(w.blocks))
		w.valuePlaces = carve[int](&c, len(w.blocks))
		if c.used <= len(w.memory) {
			break
		}
		w.memory = alignedBytes(c.used)
		c = carver{memory: w.memory}
	}
	for b := range w.blocks {
		w.keyPlaces[b], w.valuePlaces[b] = w.keyAt(b, 0, 0), w.valueAt(b, 0, 0)
	}
}

// room returns the rows and keys to make room for: those of all blocks.
func (w *Workspace) room() (rows, keys int) {
	return len(w.blocks) * blockRows, w.keys16 * keyBlock
}

// Blocks is the number of blocks of rows of the batch.
func (w *Workspace) Blocks() int { return len(w.blocks) }

// Scratch is the memory of the stages between attention and the next layer's products for a few blocks at a
// time. Its zero value is ready; goroutines need one each.
type Scratch struct {
	context      []float32 // [block][hidden/16][4 rows][16]
	contextBytes []uint8   // [block][hidden/4][4 rows][4]
	contextScale []float32 // by row
	contextLow   []float32
	inner        []int16 // see Workspace; becomes bytes in place: [block, twice as far][inner/4][4 rows][4]
	innerMax     []int16 // greatest values by row, [block][rows 0, 1; rows 2, 3][4 quarters][2 rows][4]
	innerScale   []float32
	scores       []int16 // of two blocks
	shares       []uint8

	memory []byte
}

// SuperBlock is how many blocks a Scratch takes at once: what they need stays in the second level cache.
const SuperBlock = 16

// begin makes room for what w needs.
func (s *Scratch) begin(w *Workspace) {
	longest := 0
	for _, t := range w.texts {
		longest = max(longest, t.tokens)
	}
	longest = (longest + keyBlock - 1) / keyBlock * keyBlock
	blocks := min(len(w.blocks), SuperBlock)
	rows := blocks * blockRows
	c := carver{memory: s.memory}
	for range 2 {
		s.context = carve[float32](&c, rows*w.shape.Hidden)
		s.contextBytes = carve[uint8](&c, rows*w.shape.Hidden)
		s.contextScale = carve[float32](&c, rows)
		s.contextLow = carve[float32](&c, rows)
		s.inner = carve[int16](&c, rows*w.shape.Inner)
		s.innerMax = carve[int16](&c, blocks*64)
		s.innerScale = carve[float32](&c, rows)
		s.scores = carve[int16](&c, 2*blockRows*longest)
		s.shares = carve[uint8](&c, 2*blockRows*longest)
		if c.used <= len(s.memory) {
			break
		}
		s.memory = alignedBytes(c.used)
		c = carver{memory: s.memory}
	}
}

// lineBytes is the size of a line of cache, at which every vector of a workspace begins.
const lineBytes = 64

// carver cuts vectors out of one piece of memory, or counts how much they take.
type carver struct {
	memory []byte
	used   int
}

func carve[T any](c *carver, n int) []T {
	var element T
	begin := c.used
	c.used += (n*int(unsafe.Sizeof(element)) + lineBytes - 1) / lineBytes * lineBytes
	if n == 0 || c.used > len(c.memory) {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&c.memory[begin])), n)
}

func alignedBytes(n int) []byte {
	b := make([]byte, n+lineBytes-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % lineBytes)
	return b[skip : skip+n : skip+n]
}
