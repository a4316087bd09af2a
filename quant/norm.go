package quant

import (
	"math"

	"github.com/maida-ai/gomai/internal/fma"
	"github.com/maida-ai/gomai/simd"
)

// Embed makes the states of tokens, each the embedding of its word plus that of its position, and what they
// become for the products of the first layer. Texts are ids[i] (tokens,), words (vocabulary, hidden) and
// positions (positions, hidden).
//
// Panics: if an id or a position is not there.
func (w *Workspace) Embed(first, end int, norm *Norm, words []simd.Float16, positions []float32, ids [][]int32) {
	for b := first; b < end; b++ {
		w.embedBlock(b, words, positions, ids)
	}
	w.Norm(first, end, norm)
}

// embedding returns the embeddings of the word and the position of row r of block b.
func (w *Workspace) embedding(b, r int, words []simd.Float16, positions []float32, ids [][]int32) (word []simd.Float16, position []float32) {
	h, t := w.shape.Hidden, w.blocks[b]
	// A row beyond the text's is the last one again: anything finite would do.
	token := min(int(t.index)*blockRows+r, w.texts[t.text].tokens-1)
	return words[int(ids[t.text][token])*h:][:h], positions[token*h:][:h]
}

func (w *Workspace) embedGeneric(b int, words []simd.Float16, positions []float32, ids [][]int32) {
	for r := range blockRows {
		word, position := w.embedding(b, r, words, positions, ids)
		for j := 0; j < len(word); j += lanes {
			dst := w.state[w.stateAt(b, r, j):][:lanes]
			simd.ConvertF16F32(dst, word[j:j+lanes])
			for i, p := range position[j : j+lanes] {
				dst[i] += p
			}
		}
	}
}

// stateAt is the place of component j of row r of block b, also of other float32 values of that layout.
func (w *Workspace) stateAt(b, r, j int) int {
	return (b*w.shape.Hidden/lanes+j/lanes)*blockRows*lanes + r*lanes + j%lanes
}

// bytesAt is the place of component j of row r of block b of bytes with that many columns.
func bytesAt(columns, b, r, j int) int {
	return (b*columns/4+j/4)*4*blockRows + r*4 + j%4
}

// innerAt is the place of column j of row r of block b of 16-bit values with that many columns: of two rows
// of sixteen columns, quarters of four stand side by side.
func innerAt(columns, b, r, j int) int {
	return (b*columns/16+j/16)*16*blockRows + r/2*32 + j%16/4*8 + r%2*4 + j%4
}

// Norm normalises states and, but after the last layer, makes activations of them.
func (w *Workspace) Norm(first, end int, n *Norm) {
	for b := first; b < end; b++ {
		w.normBlock(b, n)
	}
}

func (w *Workspace) normGeneric(b int, n *Norm) {
	h := w.shape.Hidden
	share := 1 / float32(h)
	for r := range blockRows {
		var sum, squares [lanes]float32
		for j := range h {
			x := w.state[w.stateAt(b, r, j)]
			sum[j%lanes] += x
			squares[j%lanes] = fma.F32(x, x, squares[j%lanes])
		}
		mean := float32(reduce(&sum) * share)
		variance := max(float32(reduce(&squares)*share)-float32(mean*mean), 0)
		inverse := 1 / float32(math.Sqrt(float64(variance+n.Epsilon)))
		shift := float32((0 - mean) * inverse)
		low, high := float32(math.Inf(1)), float32(math.Inf(-1))
		for j := range h {
			at := w.stateAt(b, r, j)
			y := fma.F32(fma.F32(w.state[at], inverse, shift), n.Gain[j], n.Bias[j])
			w.state[at] = y
			if n.Smooth != nil {
				u := float32(y * n.Smooth[j])
				low, high = min(low, u), max(high, u)
			}
		}
		if n.Smooth == nil {
			continue
		}
		q := newRowQuanta(low, high)
		for j := range h {
			u := float32(w.state[w.stateAt(b, r, j)] * n.Smooth[j])
			w.activations[bytesAt(h, b, r, j)] = q.quantum(u)
		}
		w.rowScale[b*blockRows+r], w.rowLow[b*blockRows+r] = q.scale, q.low
	}
}

// States copies the states of a text to dst (tokens, hidden), row by row.
func (w *Workspace) States(text int, dst []float32) {
	t, h := w.texts[text], w.shape.Hidden
	for token := range t.tokens {
		row := dst[token*h : (token+1)*h]
		state := w.state[w.stateAt(t.firstBlock+token/blockRows, token%blockRows, 0):]
		for j := 0; j < h; j += lanes {
			*(*[lanes]float32)(row[j:]) = [lanes]float32(state[j*blockRows:])
		}
	}
}
