package bert

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/types"
)

// pass takes a batch through the layers, in pieces of its rows. A piece needs the others' rows only as
// keys and values, so pieces wait for each other twice a layer: when all of these are there, and when they
// are not needed any more.
//
// Goroutines that help take the pieces of all stages from one counter, in order, and wait for the stage
// before by looking again and again: a stage takes some ten microseconds, and to be woken takes as long. A
// piece that was taken is being computed, so whoever waits does not wait for ever, even if all the others
// that the Runner promised come late or never.
type pass struct {
	encoder *Int8
	ctx     context.Context
	w       *int8Workspace
	first   int             // layer
	stages  int             // two for each layer
	embed   bool            // before the first layer
	pieces  int             // of each stage
	scratch []quant.Scratch // of each goroutine
	help    func(i int)     // a method value, made once

	taken   atomic.Int64 // pieces of all stages
	done    atomic.Int64 // pieces of all stages; those of a stage count when it is complete with what follows
	current atomic.Int64 // pieces of the current stage that are done
	failed  atomic.Pointer[error]
}

const (
	// leastPiece is the least number of blocks of rows that are worth a goroutine: each piece reads all weights.
	leastPiece = 4
	// looks is how often a goroutine looks for the end of a stage before it lets others run.
	looks = 2000
)

// run computes all layers, from the embeddings on.
func (e *Int8) run(ctx context.Context, w *int8Workspace, runner types.Runner) error {
	w.pass.embed = true
	return e.runLayers(ctx, w, 0, len(e.layers), runner)
}

// runLayers computes the layers from first to end.
func (e *Int8) runLayers(ctx context.Context, w *int8Workspace, first, end int, runner types.Runner) error {
	p := &w.pass
	defer func() { p.embed = false }()
	for first < end {
		if e.layers[first] == nil {
			if p.embed {
				p.embed = false
				w.Embed(0, w.Blocks(), &e.norm, e.words, e.positions, w.ids)
			}
			if err := e.floats.run(ctx, first, w); err != nil {
				return err
			}
			first++
			continue
		}
		next := first + 1
		for next < end && e.layers[next] != nil {
			next++
		}
		if err := p.run(ctx, e, w, first, next, runner); err != nil {
			return err
		}
		p.embed = false
		first = next
	}
	return nil
}

// run computes layers in int8.
func (p *pass) run(ctx context.Context, e *Int8, w *int8Workspace, first, end int, runner types.Runner) error {
	p.encoder, p.ctx, p.w, p.first, p.stages = e, ctx, w, first, 2*(end-first)
	p.taken.Store(0)
	p.done.Store(0)
	p.current.Store(0)
	p.failed.Store(nil)
	helpers := 1
	if runner != nil {
		helpers = max(1, min(w.Blocks()/leastPiece, runtime.GOMAXPROCS(0)))
	}
	p.pieces = max(helpers, (w.Blocks()+quant.SuperBlock-1)/quant.SuperBlock)
	for len(p.scratch) < helpers {
		p.scratch = append(p.scratch, quant.Scratch{})
	}
	if p.help == nil {
		p.help = p.take
	}
	if helpers == 1 {
		p.take(0)
	} else {
		runner.Run(helpers, p.help)
	}
	p.ctx = nil
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// take computes pieces until there are none.
func (p *pass) take(helper int) {
	s := &p.scratch[helper]
	for {
		n := int(p.taken.Add(1)) - 1
		stage := n / p.pieces
		if stage >= p.stages {
			return
		}
		for look := 1; int(p.done.Load()) < stage*p.pieces; look++ {
			if look%looks == 0 {
				runtime.Gosched()
			}
		}
		if p.failed.Load() == nil {
			if err := p.piece(s, stage, n%p.pieces); err != nil {
				failed := err // err itself would be moved to the heap in every piece
				p.failed.CompareAndSwap(nil, &failed)
			}
		}
		if int(p.current.Add(1)) == p.pieces {
			if p.projects(stage) && p.failed.Load() == nil {
				p.w.SumKeys(0, p.w.Texts())
			}
			p.current.Store(0)
			p.done.Add(int64(p.pieces))
		}
	}
}

// projects reports whether a stage makes queries, keys and values; the rest of the layer follows in the next.
func (p *pass) projects(stage int) bool { return stage%2 == 0 }

// piece computes a piece of a stage: whole pairs of blocks, which are multiplied together.
func (p *pass) piece(s *quant.Scratch, stage, i int) error {
	pairs := (p.w.Blocks() + 1) / 2
	first, end := 2*(i*pairs/p.pieces), min(2*((i+1)*pairs/p.pieces), p.w.Blocks())
	for b := first; b < end; b += quant.SuperBlock {
		if err := p.superBlock(s, stage, b, min(b+quant.SuperBlock, end)); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) superBlock(s *quant.Scratch, stage, first, end int) error {
	e, w := p.encoder, p.w
	l := e.layers[p.first+stage/2]
	if p.projects(stage) {
		if p.embed && stage == 0 {
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
