package quant

import "math"

// SetStates makes src (tokens, hidden), row by row, the states of a text, as if a layer had left them:
// multiplied by smooth they are also what the next layer reads. Without smooth no layer follows here.
func (w *Workspace) SetStates(text int, src, smooth []float32) {
	t, h := w.texts[text], w.shape.Hidden
	for i := range (t.tokens + blockRows - 1) / blockRows * blockRows {
		// A row beyond the text's is the last one again: anything finite would do.
		token := min(i, t.tokens-1)
		b, r := t.firstBlock+i/blockRows, i%blockRows
		row := src[token*h:][:h]
		for j, x := range row {
			w.state[w.stateAt(b, r, j)] = x
		}
		if smooth != nil {
			w.activate(b, r, row, smooth)
		}
	}
}

// activate makes the bytes that products read of row r of block b.
func (w *Workspace) activate(b, r int, row, smooth []float32) {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for j, x := range row {
		u := float32(x * smooth[j])
		low, high = min(low, u), max(high, u)
	}
	q := newRowQuanta(low, high)
	for j, x := range row {
		w.activations[bytesAt(w.shape.Hidden, b, r, j)] = q.quantum(float32(x * smooth[j]))
	}
	w.rowScale[b*blockRows+r], w.rowLow[b*blockRows+r] = q.scale, q.low
}
