//go:build amd64 && !noasm

package quant

import (
	"context"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/fma"
)

// attendTexts256 computes attention with assembly for the sums of products alone.
func (w *Workspace) attendTexts256(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	for b := first; b < end; b++ {
		for head := range w.shape.Heads {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.attend256(s, first, b, head, l)
		}
	}
	return nil
}

// attend256 does what attendGeneric does.
func (w *Workspace) attend256(s *Scratch, first, b, head int, l *Layer) {
	h, size := w.shape.Hidden, w.shape.HeadSize()
	t := w.texts[w.blocks[b].text]
	sink := 0
	if l.Sink == Last {
		sink = t.tokens - 1
	}
	begin := (head*w.keys16 + t.firstKeys) * keyBlock
	keys, values, start := w.keys[begin*size:], w.values[begin*size:], w.keySums[begin:]
	query := &w.queries[bytesAt(h, b, 0, head*size)]
	blocks := (t.tokens + keyBlock - 1) / keyBlock
	var sums [blockRows][lanes]int32
	for k := range blocks {
		w.sums256(&sums, query, &keys[k*keyBlock*size], 4*keyBlock, size/kTurn)
		for r := range sums {
			for i, sum := range sums[r] {
				s.scores[innerAt(keyBlock, k, r, i)] = saturate16(sum + start[k*keyBlock+i])
			}
		}
	}
	clear(s.shares[(blocks-1)*keyBlock*blockRows:][:keyBlock*blockRows])
	var weight, inverse [blockRows]float32
	for r := range blockRows {
		weight[r], inverse[r] = s.share(t.tokens, sink, r, head, l)
	}
	for d := 0; d < size; d += lanes {
		w.sums256(&sums, &s.shares[0], &values[4*d], 4*size, blocks)
		for r := range sums {
			for i, sum := range sums[r] {
				c := head*size + d + i
				y := fma.F32(weight[r], float32(values[sink/4*4*size+(d+i)*4+sink%4]), float32(sum))
				s.context[w.stateAt(b-first, r, c)] = float32(float32(y*inverse[r]) * l.ValueScale[c])
			}
		}
	}
}

// sums256 multiplies four rows, of which four bytes each stand together, by sixteen columns, of which four
// bytes each stand together every wStep bytes.
func (w *Workspace) sums256(sums *[blockRows][lanes]int32, a *uint8, columns *int8, wStep, turns int) {
	if w.level == cpu.AVXVNNI {
		sums4x16AVXVNNI(sums, a, columns, wStep, turns)
		return
	}
	sums4x16AVX2(sums, a, columns, wStep, turns)
}

//go:noescape
func sums4x16AVXVNNI(sums *[blockRows][lanes]int32, a *uint8, w *int8, wStep, turns int)

//go:noescape
func sums4x16AVX2(sums *[blockRows][lanes]int32, a *uint8, w *int8, wStep, turns int)
