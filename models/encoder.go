package models

import (
	"context"
	"fmt"
	"io"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/static"
	"github.com/maida-ai/gomai/types"
)

// encoder is what makes a vector of ids: a network with pooling, or a static table.
type encoder interface {
	dim() int
	size() int      // of the vocabulary: ids are below it
	positions() int // the most tokens of a text, 0 for no limit
	// embedBatch writes the vector of each sequence, bit for bit what it would be alone, or sets its
	// err: ctx.Err() for those that were not reached when ctx was done.
	embedBatch(ctx context.Context, batch []sequence, s *scratch)
	// batchTokens is the number of tokens from which on a batch gains little by being larger: 1 if
	// sequences gain nothing by company, 0 if they cost so little that they shall not even queue.
	batchTokens() int
	offers(NumberFormat) bool
	precision() string // the format it computes in
	shape() string     // for people: family and size
	sum() [32]byte     // of what embed computes
}

// sequence is one of the texts that an encoder is given together.
type sequence struct {
	ids []int32   // checked against size and positions
	dst []float32 // (dim,), or shorter, for the first components, see fit; unchanged on an error
	err error
}

// scratch is the memory of one computation, or of one text on its way to it, beside the encoder's own.
type scratch struct {
	text     types.TokenizedText
	prompted []byte // a prompt and a text
	ids      []int32
	hidden   []float32 // (tokens, hidden size)
	work     []float32 // of the head
	batch    []sequence
	texts    [][]int32   // of batch
	states   [][]float32 // of its texts, in hidden

	jobs         []*job // of batch, when the batcher made it
	batchContext batchContext
}

// embed computes one sequence.
func (s *scratch) embed(ctx context.Context, e encoder, ids []int32, dst []float32) error {
	s.batch = append(s.batch[:0], sequence{ids: ids, dst: dst})
	e.embedBatch(ctx, s.batch, s)
	err := s.batch[0].err
	clear(s.batch)
	s.batch = s.batch[:0]
	return err
}

// bertEncoder is a BERT with the modules that sentence-transformers puts behind it. It computes in int8,
// float32 or bfloat16.
type bertEncoder struct {
	config bert.Config
	int8   *bert.Int8    // nil in float32 and bfloat16
	floats *bert.Encoder // nil in int8
	bf16   bool          // floats multiplies in bfloat16
	head   head
	graph  *pooled      // where the head is that of an ONNX graph
	run    types.Runner // of int8
	cached io.Closer    // the file of the cache in which int8 lies, or nil
}

func (e *bertEncoder) dim() int       { return e.head.dim() }
func (e *bertEncoder) size() int      { return e.config.VocabSize }
func (e *bertEncoder) positions() int { return e.config.Positions }

func (e *bertEncoder) sum() [32]byte {
	if e.int8 != nil {
		return e.head.sum(e.int8.Sum())
	}
	return e.head.sum(e.floats.Sum())
}

func (e *bertEncoder) format() NumberFormat {
	switch {
	case e.int8 != nil:
		return Int8
	case e.bf16:
		return BF16
	}
	return F32
}

func (e *bertEncoder) offers(f NumberFormat) bool { return f == Auto || f == e.format() }
func (e *bertEncoder) precision() string          { return e.format().String() }

func (e *bertEncoder) shape() string {
	return fmt.Sprintf("bert-%dx%d-%v", e.config.Layers, e.config.HiddenSize, &e.head)
}

// In float32 and bfloat16 weights are read anew for each sequence, so there is nothing to gain. In int8 they cost as much
// to read as 32 tokens to compute, and rows of several texts share the blocks that products are made of.
func (e *bertEncoder) batchTokens() int {
	if e.int8 != nil {
		return 128
	}
	return 1
}

func (e *bertEncoder) embedBatch(ctx context.Context, batch []sequence, s *scratch) {
	h := e.config.HiddenSize
	if e.int8 == nil {
		for i := range batch {
			q := &batch[i]
			s.hidden = resize(s.hidden, len(q.ids)*h)
			if q.err = e.floats.Forward(ctx, q.ids, s.hidden); q.err == nil {
				q.err = e.finish(s.hidden, q.dst, s)
			}
		}
		return
	}
	tokens := 0
	for i := range batch {
		tokens += len(batch[i].ids)
	}
	s.hidden = resize(s.hidden, tokens*h)
	s.texts, s.states = s.texts[:0], s.states[:0]
	rest := s.hidden
	for i := range batch {
		n := len(batch[i].ids) * h
		s.texts, s.states = append(s.texts, batch[i].ids), append(s.states, rest[:n])
		rest = rest[n:]
	}
	err := e.int8.Forward(ctx, s.texts, s.states, e.run)
	for i := range batch {
		q := &batch[i]
		if q.err = err; err == nil {
			q.err = e.finish(s.states[i], q.dst, s)
		}
	}
	clear(s.texts)
	clear(s.states)
}

// finish makes the vector of a text's states.
func (e *bertEncoder) finish(hidden, dst []float32, s *scratch) error {
	s.work = resize(s.work, e.head.space())
	e.head.pool(hidden, s.work)
	return e.head.finish(s.work, dst)
}

// staticEncoder is a table of token vectors with the modules behind it.
type staticEncoder struct {
	table *static.Table
	head  head
}

func (e *staticEncoder) dim() int          { return e.head.dim() }
func (e *staticEncoder) size() int         { return e.table.Size() }
func (e *staticEncoder) positions() int    { return 0 }
func (e *staticEncoder) sum() [32]byte     { return e.head.sum(e.table.Sum()) }
func (e *staticEncoder) precision() string { return e.table.Layout() }

// A table offers nothing but what it is stored in, under its own name if it has one here.
func (e *staticEncoder) offers(f NumberFormat) bool {
	return f == Auto || f.String() == e.table.Layout()
}

func (e *staticEncoder) shape() string {
	s := fmt.Sprintf("static-%d-mean", e.table.Dim())
	if e.table.Normalize() {
		s += "-unit"
	}
	if len(e.head.stages) > 0 {
		s += "-" + e.head.String()
	}
	return s
}

func (e *staticEncoder) batchTokens() int { return 0 }

func (e *staticEncoder) embedBatch(ctx context.Context, batch []sequence, s *scratch) {
	for i := range batch {
		batch[i].err = e.embed(ctx, &batch[i], s)
	}
}

func (e *staticEncoder) embed(ctx context.Context, q *sequence, s *scratch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.work = resize(s.work, e.head.space())
	if _, err := e.table.EmbedIDsInto(q.ids, s.work[:e.head.width]); err != nil {
		return err
	}
	return e.head.finish(s.work, q.dst)
}

// resize returns n floats, in the memory of v if that is enough.
func resize(v []float32, n int) []float32 {
	if cap(v) < n {
		return make([]float32, n)
	}
	return v[:n]
}
