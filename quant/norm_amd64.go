//go:build amd64 && !noasm

package quant

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/simd"
)

// embedRows is what the assembly of Embed gets for a block: where its rows begin, in the order in which the
// generator reads them.
type embedRows struct {
	words     [blockRows]*simd.Float16
	positions [blockRows]*float32
	ahead     [blockRows]*simd.Float16 // words to fetch
}

// embedAhead is how many blocks ahead words are fetched.
const embedAhead = 2

func (w *Workspace) embedBlock(b int, words []simd.Float16, positions []float32, ids [][]int32) {
	if w.level != cpu.AVX512VNNI {
		w.embedGeneric(b, words, positions, ids)
		return
	}
	var rows embedRows
	ahead := min(b+embedAhead, len(w.blocks)-1)
	for r := range blockRows {
		word, position := w.embedding(b, r, words, positions, ids)
		rows.words[r], rows.positions[r] = &word[0], &position[0]
		word, _ = w.embedding(ahead, r, words, positions, ids)
		rows.ahead[r] = &word[0]
	}
	embedAVX512(&w.state[w.stateAt(b, 0, 0)], &rows, w.shape.Hidden)
}

func (w *Workspace) normBlock(b int, n *Norm) {
	if w.level != cpu.AVX512VNNI {
		w.normGeneric(b, n)
		return
	}
	h, row := w.shape.Hidden, b*blockRows
	normAVX512(&w.state[w.stateAt(b, 0, 0)], &n.Gain[0], &n.Bias[0], unsafe.SliceData(n.Smooth),
		&w.activations[bytesAt(h, b, 0, 0)], &w.rowScale[row], &w.rowLow[row], h, 1/float32(h), n.Epsilon)
}

func (w *Workspace) contextBlock(s *Scratch, b int) {
	if w.level != cpu.AVX512VNNI {
		w.contextBytesGeneric(s, b)
		return
	}
	h, row := w.shape.Hidden, b*blockRows
	contextBytesAVX512(&s.contextBytes[bytesAt(h, b, 0, 0)], &s.contextScale[row], &s.contextLow[row], &s.context[w.stateAt(b, 0, 0)], h)
}

func (w *Workspace) innerBlock(s *Scratch, b int, l *Layer) {
	n := w.shape.Inner
	switch w.level {
	case cpu.Generic:
		w.innerBytesGeneric(s, b, l)
		return
	case cpu.AVXVNNI, cpu.AVX2:
		factors := s.innerFactors(b, l)
		innerBytesAVX2(&s.inner[innerAt(n, b, 0, 0)], &factors, n)
		return
	}
	innerBytesAVX512(&s.inner[innerAt(n, b, 0, 0)], &s.innerMax[innerAt(lanes, b, 0, 0)], &s.innerScale[b*blockRows],
		n, float32(32768/l.Activation.Units()))
}

//go:noescape
func embedAVX512(state *float32, rows *embedRows, columns int)

//go:noescape
func normAVX512(state, gain, bias, smooth *float32, bytes *uint8, scale, low *float32, columns int, share, epsilon float32)

//go:noescape
func contextBytesAVX512(bytes *uint8, scale, low, context *float32, columns int)

//go:noescape
func innerBytesAVX512(inner, greatest *int16, scale *float32, columns int, unit float32)

//go:noescape
func innerBytesAVX2(inner *int16, factors *[blockRows]int32, columns int)
