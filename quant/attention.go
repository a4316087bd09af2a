package quant

import (
	"context"
	"math"

	"github.com/maida-ai/gomai/internal/fma"
)

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
	for _, t := range w.texts[first:end] {
		w.sumKeys(t)
	}
}

func (w *Workspace) sumKeysGeneric(t text) {
	size := w.shape.HeadSize()
	for head := range w.shape.Heads {
		keys := w.keys[(head*w.keys16+t.firstKeys)*keyBlock*size:]
		sums := w.keySums[(head*w.keys16+t.firstKeys)*keyBlock:]
		for key := range t.keyBlocks() * keyBlock {
			if key >= t.tokens {
				sums[key] = noKey
				continue
			}
			k := keys[key/keyBlock*keyBlock*size+key%keyBlock*4:]
			var sum int32
			for d := 0; d < size; d += 4 {
				for _, v := range k[d*keyBlock:][:4] {
					sum += int32(v)
				}
			}
			sums[key] = -128 * sum
		}
	}
}

// Texts is the number of texts of the batch.
func (w *Workspace) Texts() int { return len(w.texts) }

// Attend makes the context of each row from the keys and values of its whole text, and bytes of it. The
// stages from here to Down take at most SuperBlock blocks.
func (w *Workspace) Attend(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	s.begin(w)
	if err := w.attendTexts(ctx, s, first, end, l); err != nil {
		return err
	}
	for b := range end - first {
		w.contextBlock(s, b)
	}
	return nil
}

func (w *Workspace) attendTextsGeneric(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	for b := first; b < end; b++ {
		for head := range w.shape.Heads {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.attendGeneric(s, first, b, head, l)
		}
	}
	return nil
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
		for key := range t.tokens {
			sum := start[key]
			for d := range size {
				sum += int32(w.queries[bytesAt(h, b, r, head*size+d)]) *
					int32(keys[key/keyBlock*keyBlock*size+d/4*4*keyBlock+key%keyBlock*4+d%4])
			}
			s.scores[innerAt(keyBlock, key/keyBlock, r, key%keyBlock)] = saturate16(sum)
		}
		weight, inverse := s.share(t.tokens, sink, r, head, l)
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

// share makes the shares of the keys of row r from its scores, and the weight of the sink beside them.
// inverse is that of the sum of all.
func (s *Scratch) share(tokens, sink, r, head int, l *Layer) (weight, inverse float32) {
	greatest := int16(math.MinInt16)
	for key := range tokens {
		if key != sink {
			greatest = max(greatest, s.scores[innerAt(keyBlock, key/keyBlock, r, key%keyBlock)])
		}
	}
	// Half a step is added, so that the index below is rounded and not cut.
	step := l.ScoreStep[head]
	top := saturate16(int32(greatest) + 32768/int32(step))
	var total int32
	for key := range tokens {
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
	weight = float32(255 * exp(float32(float32(int32(score)-int32(greatest))*l.ScoreUnit[head])))
	inverse = 1 / (weight + float32(total))
	return weight, inverse
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
