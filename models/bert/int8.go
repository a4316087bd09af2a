package bert

import (
	"context"
	"fmt"
	"runtime"

	"github.com/maida-ai/gomai/quant"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// Int8 is an encoder whose layers run on int8 products. It is safe for concurrent use.
type Int8 struct {
	config    Config
	shape     quant.Shape
	words     []simd.Float16 // (vocabulary, hidden)
	positions []float32      // (positions, hidden), with the token type added
	norm      quant.Norm
	layers    []*quant.Layer
	free      chan *int8Workspace
}

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
	w.ids, w.tokens = texts, w.tokens[:0]
	for _, ids := range texts {
		w.tokens = append(w.tokens, len(ids))
	}
	w.Begin(e.shape, w.tokens)
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

// Config says what the encoder is made of.
func (e *Int8) Config() Config { return e.config }

// Quantize makes an Int8 of the weights that e was loaded from, with ranges taken from how e computes texts.
func Quantize(e *Encoder, f Source, texts [][]int32) (*Int8, error) {
	c := e.config
	q := newInt8(c)
	if !q.shape.Fits() {
		return nil, fmt.Errorf("bert: int8 layers of %d states, %d heads and %d inner states are not supported", c.HiddenSize, c.Heads, c.IntermediateSize)
	}
	ranges, err := e.observe(texts)
	if err != nil {
		return nil, err
	}
	h := c.HiddenSize
	q.words = make([]simd.Float16, len(e.words))
	simd.ConvertF32F16(q.words, e.words)
	q.positions = make([]float32, len(e.positions))
	for i, p := range e.positions {
		q.positions[i] = p + e.tokenType[i%h]
	}
	q.norm = quant.Norm{Gain: e.norm.weight, Bias: e.norm.bias, Epsilon: float32(e.norm.epsilon)}
	before := &q.norm
	for i := range e.layers {
		floats, err := e.floats(f, i)
		if err != nil {
			return nil, err
		}
		l, smooth, err := quant.Pack(q.shape, floats, &ranges[i])
		if err != nil {
			return nil, fmt.Errorf("bert: layer %d: %w", i, err)
		}
		before.Smooth = smooth
		before = &l.OutputNorm
		q.layers = append(q.layers, l)
	}
	return q, nil
}
