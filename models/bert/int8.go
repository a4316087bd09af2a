package bert

import (
	"context"
	"runtime"

	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// Int8 is an encoder whose layers run on int8 products, but for those that would lose too much by it,
// which run in float32. It is immutable and safe for concurrent use.
type Int8 struct {
	config    Config
	sum       [32]byte
	quality   Quality
	shape     quant.Shape
	words     []simd.Float16 // (vocabulary, hidden)
	positions []float32      // (positions, hidden), with the token type added
	norm      quant.Norm
	layers    []*quant.Layer // nil for one in float32
	floats    *floatLayers   // nil if there are none
	free      chan *int8Workspace
}

// floatLayers are the layers of an encoder that run in float32. The others have nothing in their place.
type floatLayers struct {
	encoder *Encoder
	smooth  [][]float32 // what the states that they leave are multiplied by for the next layer, as in a quant.Norm
}

// Config returns what the encoder was made of.
func (e *Int8) Config() Config { return e.config }

// Sum identifies what the encoder computes: it covers that of the float32 encoder and all that was packed,
// so another calibration gives another sum.
func (e *Int8) Sum() [32]byte { return e.sum }

// Quality returns what was measured when the encoder was made.
func (e *Int8) Quality() Quality { return e.quality }

// int8Workspace is the memory of one batch.
type int8Workspace struct {
	quant.Workspace
	pass   pass
	ids    [][]int32
	tokens []int
}

// Forward computes the states of the tokens of a batch of texts after the last layer: texts[i] gives
// hidden[i], (tokens, hidden). What a text gives does not depend on the others, nor on run, which spreads
// the work over goroutines; nil for the caller's own.
//
// Cost: no allocation for a batch no larger than those before.
func (e *Int8) Forward(ctx context.Context, texts [][]int32, hidden [][]float32, run types.Runner) error {
	for i, ids := range texts {
		if err := e.config.check(ids, hidden[i]); err != nil {
			return err
		}
	}
	var w *int8Workspace
	select {
	case w = <-e.free:
	default:
		w = new(int8Workspace)
	}
	defer func() {
		select {
		case e.free <- w:
		default:
		}
	}()
	w.begin(e.shape, texts)
	if err := e.run(ctx, w, run); err != nil {
		return err
	}
	for i := range texts {
		w.States(i, hidden[i])
	}
	return nil
}

func newInt8(c Config) *Int8 {
	return &Int8{
		config: c,
		shape:  quant.Shape{Hidden: c.HiddenSize, Heads: c.Heads, Inner: c.IntermediateSize},
		free:   make(chan *int8Workspace, runtime.GOMAXPROCS(0)),
	}
}

// begin makes room for texts.
func (w *int8Workspace) begin(shape quant.Shape, texts [][]int32) {
	w.ids, w.tokens = texts, w.tokens[:0]
	for _, ids := range texts {
		w.tokens = append(w.tokens, len(ids))
	}
	w.Begin(shape, w.tokens)
}

// run computes layer i, text by text.
func (f *floatLayers) run(ctx context.Context, i int, w *int8Workspace) error {
	e := f.encoder
	for t, n := range w.tokens {
		work := e.free.get(&e.config, n)
		w.States(t, work.hidden)
		err := e.layer(ctx, &e.layers[i], work)
		if err == nil {
			w.SetStates(t, work.hidden, f.smooth[i])
		}
		e.free.put(work)
		if err != nil {
			return err
		}
	}
	return nil
}
