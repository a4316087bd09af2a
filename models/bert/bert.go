// Package bert computes the BERT encoder in float32, bfloat16 or int8: embeddings, then layers of self-attention and a
// feed-forward block, from a model's weights as safetensors. It knows token ids and hidden states;
// text, pooling and model folders belong to package models.
//
// Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language
// Understanding (2018), in the form that all-MiniLM-L6-v2 and its kind use.
package bert

import (
	"context"
	"fmt"
	"math"

	"github.com/maida-ai/gomai/simd"
)

// Encoder is a loaded model. It is immutable and safe for concurrent use.
type Encoder struct {
	config    Config
	sum       [32]byte
	words     []float32 // (vocabulary, hidden)
	positions []float32 // (positions, hidden)
	tokenType []float32 // (hidden,), of type 0: single texts have no other
	norm      norm
	layers    []layer
	activate  func([]float32)
	free      workspaces
}

type layer struct {
	query, key, value, out linear
	attentionNorm          norm
	up, down               linear
	outputNorm             norm
}

// linear is y = x weight^T + bias, with a weight (out, in), as PyTorch has it.
type linear struct {
	weight packed
	bias   []float32 // (out,)
}

// norm is a layer normalisation.
type norm struct {
	weight, bias []float32 // (hidden,)
	epsilon      float64
}

// Config returns what the encoder was loaded with.
func (e *Encoder) Config() Config { return e.config }

// Sum identifies what the encoder computes: it covers the configuration and the float32 values of
// all tensors, whatever types and names they had in the file. Each tensor counts with its CRC-32C
// (the hardware does 10 GB/s, SHA-256 over everything would double the time to open a model), so it
// tells models apart, not forgeries.
func (e *Encoder) Sum() [32]byte { return e.sum }

// Forward computes the hidden states after the last layer.
//
// Shape:  ids (tokens,), 1 <= tokens <= Config().Positions; hidden (tokens, Config().HiddenSize).
// Errors: a wrong number of ids, an id outside the vocabulary, a hidden of another length; ctx.Err()
// soon after ctx is done: it is asked every few 100 microseconds. hidden is then unchanged.
// Cost:   runs on the caller's goroutine; allocates only when more calls, or more tokens, run at once
// than before: about 4*(6*HiddenSize+IntermediateSize) bytes a token, which are kept for later calls.
// Exact:  the same bits for the same ids, whatever runs beside it.
func (e *Encoder) Forward(ctx context.Context, ids []int32, hidden []float32) error {
	c := &e.config
	if err := c.check(ids, hidden); err != nil {
		return err
	}
	w := e.free.get(c, len(ids))
	defer e.free.put(w)
	e.embed(ids, w.hidden)
	for i := range e.layers {
		if err := e.layer(ctx, &e.layers[i], w); err != nil {
			return err
		}
	}
	copy(hidden, w.hidden)
	return nil
}

// check says whether ids are a text for a model of c, and hidden has room for its states.
func (c *Config) check(ids []int32, hidden []float32) error {
	if len(ids) < 1 || len(ids) > c.Positions {
		return fmt.Errorf("bert: %d tokens, the model takes 1 to %d", len(ids), c.Positions)
	}
	if want := len(ids) * c.HiddenSize; len(hidden) != want {
		return fmt.Errorf("bert: %d floats for the hidden states, %d tokens have %d", len(hidden), len(ids), want)
	}
	for i, id := range ids {
		if id < 0 || int(id) >= c.VocabSize {
			return fmt.Errorf("bert: token %d has id %d, the vocabulary has %d", i, id, c.VocabSize)
		}
	}
	return nil
}

// embed looks up what the first layer reads.
func (e *Encoder) embed(ids []int32, hidden []float32) {
	h := e.config.HiddenSize
	for i, id := range ids {
		row := hidden[i*h : (i+1)*h]
		word, position := e.words[int(id)*h:][:h], e.positions[i*h:][:h]
		for j := range row {
			row[j] = word[j] + e.tokenType[j] + position[j]
		}
		e.norm.apply(row)
	}
}

// layer replaces w.hidden by what l makes of it.
func (e *Encoder) layer(ctx context.Context, l *layer, w *workspace) error {
	if err := w.read(ctx, &l.query, w.hidden); err != nil {
		return err
	}
	if err := l.query.apply(ctx, w, w.query); err != nil {
		return err
	}
	if err := l.key.apply(ctx, w, w.key); err != nil {
		return err
	}
	if err := l.value.apply(ctx, w, w.value); err != nil {
		return err
	}
	if w.observer != nil {
		w.observer.projected(w)
	}
	if err := e.attend(ctx, w); err != nil {
		return err
	}
	if err := w.read(ctx, &l.out, w.attended); err != nil {
		return err
	}
	if err := l.out.apply(ctx, w, w.query); err != nil {
		return err
	}
	l.attentionNorm.addApply(w.hidden, w.query)
	if w.observer != nil {
		w.observer.attended(w)
	}
	if err := w.read(ctx, &l.up, w.hidden); err != nil {
		return err
	}
	if err := l.up.apply(ctx, w, w.up); err != nil {
		return err
	}
	if w.observer != nil {
		w.observer.inner(w)
	}
	for i := 0; i < len(w.up); i += l.up.weight.n {
		if err := ctx.Err(); err != nil {
			return err
		}
		e.activate(w.up[i : i+l.up.weight.n])
	}
	if err := w.read(ctx, &l.down, w.up); err != nil {
		return err
	}
	if err := l.down.apply(ctx, w, w.query); err != nil {
		return err
	}
	l.outputNorm.addApply(w.hidden, w.query)
	return nil
}

// attend computes softmax(Q K^T / sqrt(d)) V for each head, a block of query rows at a time.
func (e *Encoder) attend(ctx context.Context, w *workspace) error {
	h, d := e.config.HiddenSize, e.config.HiddenSize/e.config.Heads
	scale := float32(1 / math.Sqrt(float64(d)))
	keys := packed{w: w.keys, n: w.tokens, k: d}
	values := packed{w: w.values, n: d, k: w.tokens}
	for head := 0; head < h; head += d {
		simd.PackF32(keys.w, w.key[head:], w.tokens, d, h)
		for i := range keys.w {
			keys.w[i] *= scale
		}
		simd.PackColumnsF32(values.w, w.value[head:], d, w.tokens, h)
		for i := 0; i < w.tokens; i += rowTile {
			rows := min(rowTile, w.tokens-i)
			// scores (rows, tokens), then attended (rows, d).
			if err := gemm(ctx, rows, w.query[i*h+head:], h, keys, nil, w.scores, w.tokens); err != nil {
				return err
			}
			if w.observer != nil {
				w.observer.scored(head/d, w.scores[:rows*w.tokens])
			}
			for r := range rows {
				row := w.scores[r*w.tokens:][:w.tokens]
				simd.SoftmaxF32(row, row)
			}
			if err := gemm(ctx, rows, w.scores, w.tokens, values, nil, w.attended[i*h+head:], h); err != nil {
				return err
			}
		}
	}
	return nil
}

// addApply adds y to x and normalises the rows of the sum, in x.
func (n *norm) addApply(x, y []float32) {
	h := len(n.weight)
	for i, v := range y {
		x[i] += v
	}
	for i := 0; i < len(x); i += h {
		n.apply(x[i : i+h])
	}
}

// apply normalises one row to mean 0 and variance 1, then scales and shifts it.
func (n *norm) apply(row []float32) {
	simd.LayerNormF32(row, row, n.weight, n.bias, float32(n.epsilon))
}
