//go:build amd64 && !noasm

package quant

import (
	"context"
	"math"

	"github.com/maida-ai/gomai/internal/cpu"
)

// attendArguments is what the assembly of attention gets for some heads of some blocks of one text: fields
// of eight bytes, read in this order by the generator, and changed.
type attendArguments struct {
	table     *[expSteps]uint8
	blocks    int // of rows, at least 1
	heads     int // at least 1
	keyBlocks int // of the text

	// Of the first head. Steps are in bytes.
	queries     *uint8 // of the first block
	queryStep   int    // from one block to the next
	keys        *int8
	values      *int8
	keyStep     int // from one head to the next, as the one below
	starts      *int32
	startStep   int
	scores      *int16
	shares      *uint8
	context     *float32 // of the first block
	contextStep int
	valueScale  *float32
	scoreUnit   *float32
	scoreStep   *uint16

	// The sink's four keys begin at sinkScore of the scores of two rows, and at sinkValue of the values, in
	// bytes. Its own score comes into the lowest of four words by a shift to the right, its values into the
	// highest of four bytes by one to the left.
	sinkScore, sinkScoreShift int
	sinkValue, sinkValueShift int

	// Masks of the first and last block of keys, for the scores of two rows and the shares of four: without
	// the sink and what is beyond the text. If there is one block only, it has the first.
	firstScores, lastScores uint64
	firstShares, lastShares uint64

	_ [2 * 2 * blockRows]float32 // weights and inverses of rows: for the assembly alone
}

// attendWork is how much of attention is computed in one call of assembly, which the scheduler cannot
// interrupt, and between two questions to a context: products of four rows with sixteen keys, of which one
// takes about 15 ns for 32 components.
const attendWork = 2000

func (w *Workspace) attendTexts(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	switch {
	case w.level == cpu.Generic:
		return w.attendTextsGeneric(ctx, s, first, end, l)
	case w.level != cpu.AVX512VNNI || !w.vbmi: // the lookup of shares needs it
		return w.attendTexts256(ctx, s, first, end, l)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	sinceQuestion := 0
	for b := first; b < end; {
		t := w.texts[w.blocks[b].text]
		blocks := min(end, t.firstBlock+t.blocks()) - b
		each := blocks * (t.keyBlocks() + 4) * w.shape.HeadSize() / 32 // of a head
		for head := 0; head < w.shape.Heads; {
			heads := min(max(attendWork/each, 1), w.shape.Heads-head)
			if sinceQuestion += heads * each; sinceQuestion > attendWork {
				if err := ctx.Err(); err != nil {
					return err
				}
				sinceQuestion = 0
			}
			w.attendFast(s, first, b, blocks, head, heads, l)
			head += heads
		}
		b += blocks
	}
	return nil
}

// attendFast computes some heads of some blocks of one text.
func (w *Workspace) attendFast(s *Scratch, first, b, blocks, head, heads int, l *Layer) {
	h, size := w.shape.Hidden, w.shape.HeadSize()
	t := w.texts[w.blocks[b].text]
	key := head*w.keys16 + t.firstKeys
	a := attendArguments{
		table: &expTable, keyBlocks: t.keyBlocks(),
		queryStep: bytesAt(h, 1, 0, 0), contextStep: 4 * w.stateAt(1, 0, 0),
		keyStep: w.keys16 * keyBlock * size, startStep: w.keys16 * keyBlock * 4,
		scores: &s.scores[0], shares: &s.shares[0],
	}
	a.setMasks(t, l.Sink, size)
	for _, pair := range [2]bool{true, false} {
		if a.blocks = blocks &^ 1; !pair {
			b, a.blocks = b+a.blocks, blocks&1
		}
		if a.blocks == 0 {
			continue
		}
		a.heads = heads
		a.queries = &w.queries[bytesAt(h, b, 0, head*size)]
		a.keys, a.values, a.starts = &w.keys[key*keyBlock*size], &w.values[key*keyBlock*size], &w.keySums[key*keyBlock]
		a.context, a.valueScale = &s.context[w.stateAt(b-first, 0, head*size)], &l.ValueScale[head*size]
		a.scoreUnit, a.scoreStep = &l.ScoreUnit[head], &l.ScoreStep[head]
		switch {
		case pair && size == 32:
			attend8x32VBMI(&a)
		case pair:
			attend8x64VBMI(&a)
		case size == 32:
			attend4x32VBMI(&a)
		default:
			attend4x64VBMI(&a)
		}
	}
}

// setMasks says where the sink is and what is beyond the text.
func (a *attendArguments) setMasks(t text, place Sink, size int) {
	sink := 0
	if place == Last {
		sink = t.tokens - 1
	}
	a.sinkScore = sink/keyBlock*8*keyBlock + sink%keyBlock/4*16
	a.sinkScoreShift = 16 * (sink % 4)
	a.sinkValue = sink / 4 * 4 * size
	a.sinkValueShift = 24 - 8*(sink%4)
	last := a.keyBlocks - 1
	a.firstScores, a.firstShares = keyMasks(t.tokens, sink)
	a.lastScores, a.lastShares = keyMasks(t.tokens-last*keyBlock, sink-last*keyBlock)
}

// keyMasks are the masks of a block of keys, of which this many are the text's.
func keyMasks(keys, sink int) (scores, shares uint64) {
	for key := range min(keys, keyBlock) {
		if key != sink {
			scores |= 0x11 << (key/4*8 + key%4)
			shares |= 0x1111 << (key/4*16 + key%4)
		}
	}
	return scores, shares
}

func (w *Workspace) sumKeys(t text) {
	if w.level != cpu.AVX512VNNI {
		w.sumKeysGeneric(t)
		return
	}
	size, blocks := w.shape.HeadSize(), t.keyBlocks()
	beyond := uint64(math.MaxUint16) << (t.tokens - (blocks-1)*keyBlock)
	for head := range w.shape.Heads {
		key := (head*w.keys16 + t.firstKeys) * keyBlock
		if size == 32 {
			sumKeysx32AVX512VNNI(&w.keySums[key], &w.keys[key*size], blocks, beyond)
		} else {
			sumKeysx64AVX512VNNI(&w.keySums[key], &w.keys[key*size], blocks, beyond)
		}
	}
}

//go:noescape
func attend8x32VBMI(a *attendArguments)

//go:noescape
func attend8x64VBMI(a *attendArguments)

//go:noescape
func attend4x32VBMI(a *attendArguments)

//go:noescape
func attend4x64VBMI(a *attendArguments)

//go:noescape
func sumKeysx32AVX512VNNI(sums *int32, keys *int8, blocks int, last uint64)

//go:noescape
func sumKeysx64AVX512VNNI(sums *int32, keys *int8, blocks int, last uint64)
