package bert

import (
	"context"
	"runtime"

	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/types"
)

// pass takes a batch through the layers, in pieces of its rows. A piece needs the others' rows only as
// keys and values, so pieces wait for each other twice a layer: when all of these are there, and when they
// are not needed any more.
type pass struct {
	encoder *Int8
	ctx     context.Context
	w       *int8Workspace
	layer   int
	embed   bool // before the layer
	project bool // the layer's queries, keys and values; the rest of it otherwise
	pieces  int
	scratch []quant.Scratch // of each piece
	errs    []error
	// piece as a value, made once.
	step func(piece int)
}

// leastPiece is the least number of blocks of rows that are worth a goroutine: each piece reads all weights.
const leastPiece = 4

// run computes all layers, from the embeddings on.
func (e *Int8) run(ctx context.Context, w *int8Workspace, runner types.Runner) error {
	w.pass.embed = true
	return e.runLayers(ctx, w, 0, len(e.layers), runner)
}

// runLayers computes the layers from first to end.
func (e *Int8) runLayers(ctx context.Context, w *int8Workspace, first, end int, runner types.Runner) error {
	p := &w.pass
	p.encoder, p.ctx, p.w, p.pieces = e, ctx, w, 1
	if runner != nil {
		p.pieces = max(1, min(w.Blocks()/leastPiece, runtime.GOMAXPROCS(0)))
	}
	for len(p.scratch) < p.pieces {
		p.scratch = append(p.scratch, quant.Scratch{})
		p.errs = append(p.errs, nil)
	}
	if p.step == nil {
		p.step = p.piece
	}
	defer func() { p.ctx = nil }()
	for p.layer = first; p.layer < end; p.layer++ {
		if e.layers[p.layer] == nil {
			if p.embed {
				p.embed = false
				w.Embed(0, w.Blocks(), &e.norm, e.words, e.positions, w.ids)
			}
			if err := e.floats.run(ctx, p.layer, w); err != nil {
				return err
			}
			continue
		}
		p.project = true
		if err := p.run(runner); err != nil {
			return err
		}
		p.embed = false
		w.SumKeys(0, w.Texts())
		p.project = false
		if err := p.run(runner); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) run(runner types.Runner) error {
	if p.pieces == 1 {
		p.piece(0)
	} else {
		runner.Run(p.pieces, p.step)
	}
	for _, err := range p.errs[:p.pieces] {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) piece(i int) {
	blocks := p.w.Blocks()
	first, end := i*blocks/p.pieces, (i+1)*blocks/p.pieces
	p.errs[i] = nil
	for b := first; b < end && p.errs[i] == nil; b += quant.SuperBlock {
		p.errs[i] = p.superBlock(&p.scratch[i], b, min(b+quant.SuperBlock, end))
	}
}

func (p *pass) superBlock(s *quant.Scratch, first, end int) error {
	e, w := p.encoder, p.w
	l := e.layers[p.layer]
	if p.project {
		if p.embed {
			w.Embed(first, end, &e.norm, e.words, e.positions, w.ids)
		}
		return w.Project(p.ctx, first, end, l)
	}
	if err := w.Attend(p.ctx, s, first, end, l); err != nil {
		return err
	}
	if err := w.Out(p.ctx, s, first, end, l); err != nil {
		return err
	}
	w.Norm(first, end, &l.AttentionNorm)
	if err := w.Up(p.ctx, s, first, end, l); err != nil {
		return err
	}
	if err := w.Down(p.ctx, s, first, end, l); err != nil {
		return err
	}
	w.Norm(first, end, &l.OutputNorm)
	return nil
}
