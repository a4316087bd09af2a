package quant

import (
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/fma"
)

var encoderCode = cpu.Implement("Encoder")

// The stages of an encoder, in order. Each works on the blocks from first to end, at most; what one needs
// of other blocks is said.

// Embed makes the states of tokens from the embeddings that row gives, and what they become for the
// products of the first layer: row(text, token, dst) fills dst (hidden,).
func (w *Workspace) Embed(first, end int, norm *Norm, row func(text, token int, dst []float32)) {
	var memory [blockRows * 1 << 13]float32
	dst := memory[:w.shape.Hidden]
	for b := first; b < end; b++ {
		t := w.blocks[b]
		for r := range blockRows {
			token := int(t.index)*blockRows + r
			// A row beyond the text's is the last one again: anything finite would do.
			row(int(t.text), min(token, w.texts[t.text].tokens-1), dst)
			for j, v := range dst {
				w.state[w.stateAt(b, r, j)] = v
			}
		}
	}
	w.Norm(first, end, norm)
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
		w.normGeneric(b, n)
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

// Project makes queries, keys and values of activations.
func (w *Workspace) Project(first, end int, l *Layer) {
	h := w.shape.Hidden
	for b := first; b < end; b++ {
		for r := range blockRows {
			row := b*blockRows + r
			for j := range 3 * h {
				sum := dot(w.activations, h, b, r, &l.QKV, j)
				y := toInt(l.QKV.apply(j, sum, w.rowScale[row], w.rowLow[row]))
				switch part, c := j/h, j%h; part {
				case 0:
					w.queries[bytesAt(h, b, r, c)] = uint8(min(max(y, 0), math.MaxUint8))
				case 1:
					w.keys[w.keyAt(b, r, c)] = int8(min(max(y, math.MinInt8), math.MaxInt8))
				default:
					w.values[w.valueAt(b, r, c)] = int8(min(max(y, math.MinInt8), math.MaxInt8))
				}
			}
		}
	}
}

// dot is the sum of products of row r of block b of bytes with column j of the weights.
func dot(a []uint8, columns, b, r int, l *Linear, j int) int32 {
	var sum int32
	panel := l.Weights[j/16*16*columns+j%16*4:]
	row := a[bytesAt(columns, b, r, 0):]
	for i := 0; i < columns; i += 4 {
		x, y := row[4*i:][:4], panel[16*i:][:4]
		sum += int32(x[0])*int32(y[0]) + int32(x[1])*int32(y[1]) + int32(x[2])*int32(y[2]) + int32(x[3])*int32(y[3])
	}
	return sum
}

// keyAt is the place of component c, of all heads, of the key of row r of block b.
func (w *Workspace) keyAt(b, r, c int) int {
	size, key := w.shape.HeadSize(), w.firstKey(b)+r
	head := c / size * w.keys16 * keyBlock * size
	return head + key/keyBlock*keyBlock*size + c%size/4*4*keyBlock + key%keyBlock*4 + c%4
}

// valueAt is the place of component c, of all heads, of the value of row r of block b.
func (w *Workspace) valueAt(b, r, c int) int {
	size, key := w.shape.HeadSize(), w.firstKey(b)+r
	head := c / size * w.keys16 * keyBlock * size
	return head + key/4*4*size + c%size*4 + key%4
}

// firstKey is the number of the first key of block b among those of all texts.
func (w *Workspace) firstKey(b int) int {
	t := w.blocks[b]
	return w.texts[t.text].firstKeys*keyBlock + int(t.index)*blockRows
}

// noKey is what the sums of products of a key start from that is beyond its text: low enough for the
// score of any query to be the least int16.
const noKey = -1 << 29

// SumKeys makes what the scores of each key start from, for the texts from first to end: queries are
// stored with 128 for zero, so it is -128 times the sum of the key's components.
func (w *Workspace) SumKeys(first, end int) {
	size := w.shape.HeadSize()
	for _, t := range w.texts[first:end] {
		blocks := (t.tokens + keyBlock - 1) / keyBlock
		for head := range w.shape.Heads {
			for key := range blocks * keyBlock {
				at := head*w.keys16*keyBlock + t.firstKeys*keyBlock + key
				if key >= t.tokens {
					w.keySums[at] = noKey
					continue
				}
				k := w.keys[(head*w.keys16+t.firstKeys+key/keyBlock)*keyBlock*size+key%keyBlock*4:]
				var sum int32
				for d := 0; d < size; d += 4 {
					for _, v := range k[d*keyBlock:][:4] {
						sum += int32(v)
					}
				}
				w.keySums[at] = -128 * sum
			}
		}
	}
}

// Texts is the number of texts of the batch.
func (w *Workspace) Texts() int { return len(w.texts) }

// Attend makes the context of each row from the keys and values of its whole text, and bytes of it. The
// stages from here to Down take at most SuperBlock blocks.
func (w *Workspace) Attend(s *Scratch, first, end int, l *Layer) {
	s.begin(w)
	for b := first; b < end; b++ {
		for head := range w.shape.Heads {
			w.attendGeneric(s, first, b, head, l)
		}
	}
	for b := range end - first {
		w.contextBytesGeneric(s, b)
	}
}

// attendGeneric computes one head of one block of rows. With s the score of a query and a key, the context
// is the mean of the values weighted by e^(ScoreUnit*s), of which the weights of all keys but the sink are
// bytes, 255 for the greatest of them.
func (w *Workspace) attendGeneric(s *Scratch, first, b, head int, l *Layer) {
	h, size := w.shape.Hidden, w.shape.HeadSize()
	t := w.texts[w.blocks[b].text]
	sink := 0
	if l.Sink == Last {
		sink = t.tokens - 1
	}
	keys := w.keys[(head*w.keys16+t.firstKeys)*keyBlock*size:]
	values := w.values[(head*w.keys16+t.firstKeys)*keyBlock*size:]
	start := w.keySums[(head*w.keys16+t.firstKeys)*keyBlock:]
	for r := range blockRows {
		greatest := int16(math.MinInt16)
		for key := range t.tokens {
			sum := start[key]
			for d := range size {
				sum += int32(w.queries[bytesAt(h, b, r, head*size+d)]) *
					int32(keys[key/keyBlock*keyBlock*size+d/4*4*keyBlock+key%keyBlock*4+d%4])
			}
			score := saturate16(sum)
			s.scores[innerAt(keyBlock, key/keyBlock, r, key%keyBlock)] = score
			if key != sink {
				greatest = max(greatest, score)
			}
		}
		// Half a step is added, so that the index below is rounded and not cut.
		step := l.ScoreStep[head]
		top := saturate16(int32(greatest) + 32768/int32(step))
		var total int32
		for key := range t.tokens {
			score := s.scores[innerAt(keyBlock, key/keyBlock, r, key%keyBlock)]
			below := uint32(uint16(top - score))
			share := expTable[min(below*uint32(step)>>16, expSteps-1)]
			if key == sink {
				share = 0
			}
			s.shares[bytesAt(keyBlock, key/keyBlock, r, key%keyBlock)] = share
			total += int32(share)
		}
		score := s.scores[innerAt(keyBlock, sink/keyBlock, r, sink%keyBlock)]
		weight := float32(255 * exp(float32(float32(int32(score)-int32(greatest))*l.ScoreUnit[head])))
		inverse := 1 / (weight + float32(total))
		for d := range size {
			var sum int32
			for key := range t.tokens {
				sum += int32(s.shares[bytesAt(keyBlock, key/keyBlock, r, key%keyBlock)]) * int32(values[key/4*4*size+d*4+key%4])
			}
			c := head*size + d
			y := fma.F32(weight, float32(values[sink/4*4*size+d*4+sink%4]), float32(sum))
			s.context[w.stateAt(b-first, r, c)] = float32(float32(y*inverse) * l.ValueScale[c])
		}
	}
}

// contextBytesGeneric makes bytes of the context of block b of s.
func (w *Workspace) contextBytesGeneric(s *Scratch, b int) {
	h := w.shape.Hidden
	for r := range blockRows {
		low, high := float32(math.Inf(1)), float32(math.Inf(-1))
		for j := range h {
			v := s.context[w.stateAt(b, r, j)]
			low, high = min(low, v), max(high, v)
		}
		q := newRowQuanta(low, high)
		for j := range h {
			s.contextBytes[bytesAt(h, b, r, j)] = q.quantum(s.context[w.stateAt(b, r, j)])
		}
		s.contextScale[b*blockRows+r], s.contextLow[b*blockRows+r] = q.scale, q.low
	}
}

// Out adds the output of attention to the states.
func (w *Workspace) Out(s *Scratch, first, end int, l *Layer) {
	h := w.shape.Hidden
	for b := range end - first {
		for r := range blockRows {
			row := b*blockRows + r
			for j := range h {
				sum := dot(s.contextBytes, h, b, r, &l.Out, j)
				w.state[w.stateAt(first+b, r, j)] += l.Out.apply(j, sum, s.contextScale[row], s.contextLow[row])
			}
		}
	}
}

// Up makes the inner activations: 16-bit quanta, and then bytes in their place.
func (w *Workspace) Up(s *Scratch, first, end int, l *Layer) {
	h, n := w.shape.Hidden, w.shape.Inner
	for b := range end - first {
		for r := range blockRows {
			row := (first+b)*blockRows + r
			var greatest int16
			for j := range n {
				sum := dot(w.activations, h, first+b, r, &l.Up, j)
				y := l.Activation.apply(saturate16(toInt(l.Up.apply(j, sum, w.rowScale[row], w.rowLow[row]))))
				s.inner[innerAt(n, b, r, j)] = y
				greatest = max(greatest, y)
			}
			factor := byteFactor(greatest)
			s.innerScale[b*blockRows+r] = float32(32768/l.Activation.Units()) / float32(factor)
			// What follows would overwrite other rows' quanta, so each row's bytes wait in its own: the low
			// halves, until all rows are done.
			for j := range n {
				s.inner[innerAt(n, b, r, j)] = int16(toByte(s.inner[innerAt(n, b, r, j)], factor))
			}
		}
	}
}

// Down adds the output of the inner network to the states.
func (w *Workspace) Down(s *Scratch, first, end int, l *Layer) {
	h, n := w.shape.Hidden, w.shape.Inner
	for b := range end - first {
		for r := range blockRows {
			scale := s.innerScale[b*blockRows+r]
			for j := range h {
				var sum int32
				for i := range n {
					sum += int32(s.inner[innerAt(n, b, r, i)]) * int32(l.Down.Weights[j/16*16*n+i/4*64+j%16*4+i%4])
				}
				w.state[w.stateAt(first+b, r, j)] += l.Down.apply(j, sum, scale, 0)
			}
		}
	}
}

// States copies the states of a text to dst (tokens, hidden), row by row.
func (w *Workspace) States(text int, dst []float32) {
	t, h := w.texts[text], w.shape.Hidden
	for token := range t.tokens {
		row := dst[token*h : (token+1)*h]
		for j := range row {
			row[j] = w.state[w.stateAt(t.firstBlock+token/blockRows, token%blockRows, j)]
		}
	}
}
