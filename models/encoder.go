package models

import (
	"context"
	"fmt"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/static"
	"github.com/maida-ai/gomai/types"
)

// encoder is what makes a vector of ids: a network with pooling, or a static table.
type encoder interface {
	dim() int
	size() int      // of the vocabulary: ids are below it
	positions() int // the most tokens of a text, 0 for no limit
	// embed writes the vector of ids, which were checked against size and positions, to dst (dim,).
	// On an error dst is unchanged.
	embed(ctx context.Context, ids []int32, s *scratch, dst []float32) error
	offers(NumberFormat) bool
	precision() string // the format it computes in
	shape() string     // for people: family and size
	sum() [32]byte     // of what embed computes
}

// scratch is the memory of one call beside the encoder's own.
type scratch struct {
	text   types.TokenizedText
	ids    []int32
	hidden []float32 // (tokens, hidden size)
	work   []float32 // of the head
}

// bertEncoder is a BERT with the modules that sentence-transformers puts behind it.
type bertEncoder struct {
	bert *bert.Encoder
	head head
}

func (e *bertEncoder) dim() int                   { return e.head.dim() }
func (e *bertEncoder) size() int                  { return e.bert.Config().VocabSize }
func (e *bertEncoder) positions() int             { return e.bert.Config().Positions }
func (e *bertEncoder) sum() [32]byte              { return e.head.sum(e.bert.Sum()) }
func (e *bertEncoder) offers(f NumberFormat) bool { return f == Auto || f == F32 }
func (e *bertEncoder) precision() string          { return F32.String() }

func (e *bertEncoder) shape() string {
	c := e.bert.Config()
	return fmt.Sprintf("bert-%dx%d-%v", c.Layers, c.HiddenSize, &e.head)
}

func (e *bertEncoder) embed(ctx context.Context, ids []int32, s *scratch, dst []float32) error {
	s.hidden = resize(s.hidden, len(ids)*e.bert.Config().HiddenSize)
	if err := e.bert.Forward(ctx, ids, s.hidden); err != nil {
		return err
	}
	s.work = resize(s.work, e.head.space())
	e.head.pool(s.hidden, s.work)
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

func (e *staticEncoder) embed(ctx context.Context, ids []int32, s *scratch, dst []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.work = resize(s.work, e.head.space())
	if _, err := e.table.EmbedIDsInto(ids, s.work[:e.head.width]); err != nil {
		return err
	}
	return e.head.finish(s.work, dst)
}

// resize returns n floats, in the memory of v if that is enough.
func resize(v []float32, n int) []float32 {
	if cap(v) < n {
		return make([]float32, n)
	}
	return v[:n]
}
