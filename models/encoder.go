package models

import (
	"context"
	"fmt"
	"math"

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
	hidden []float32
}

// pooling makes one vector of the hidden states of a text's tokens.
type pooling string

const (
	poolMean pooling = "mean"
	poolCLS  pooling = "cls"
	poolMax  pooling = "max"
)

// bertEncoder is a BERT with the modules that sentence-transformers puts behind it.
type bertEncoder struct {
	bert      *bert.Encoder
	pooling   pooling
	normalize bool
}

func (e *bertEncoder) dim() int                   { return e.bert.Config().HiddenSize }
func (e *bertEncoder) size() int                  { return e.bert.Config().VocabSize }
func (e *bertEncoder) positions() int             { return e.bert.Config().Positions }
func (e *bertEncoder) sum() [32]byte              { return e.bert.Sum() }
func (e *bertEncoder) offers(f NumberFormat) bool { return f == Auto || f == F32 }
func (e *bertEncoder) precision() string          { return F32.String() }

func (e *bertEncoder) shape() string {
	s := fmt.Sprintf("bert-%dx%d-%s", e.bert.Config().Layers, e.dim(), e.pooling)
	if e.normalize {
		s += "-unit"
	}
	return s
}

func (e *bertEncoder) embed(ctx context.Context, ids []int32, s *scratch, dst []float32) error {
	n := len(ids) * e.dim()
	if cap(s.hidden) < n {
		s.hidden = make([]float32, n)
	}
	hidden := s.hidden[:n]
	if err := e.bert.Forward(ctx, ids, hidden); err != nil {
		return err
	}
	v := hidden[:len(dst)]
	if err := e.finish(hidden, v); err != nil {
		return err
	}
	copy(dst, v)
	return nil
}

// finish makes v (dim,), which may be the first row of hidden, of the hidden states of a text.
func (e *bertEncoder) finish(hidden, v []float32) error {
	e.pooling.pool(hidden, v)
	if e.normalize {
		normalize(v)
	}
	if !finite(v) {
		return ErrNotFinite
	}
	return nil
}

// pool reduces hidden (tokens, dim), at least one token, to dst (dim,), which may be its first row.
func (p pooling) pool(hidden, dst []float32) {
	copy(dst, hidden)
	rest := hidden[len(dst):]
	switch p {
	case poolMean:
		for i := 0; i < len(rest); i += len(dst) {
			for j, v := range rest[i : i+len(dst)] {
				dst[j] += v
			}
		}
		scale := 1 / float32(len(hidden)/len(dst))
		for j := range dst {
			dst[j] *= scale
		}
	case poolMax:
		for i := 0; i < len(rest); i += len(dst) {
			for j, v := range rest[i : i+len(dst)] {
				dst[j] = max(dst[j], v)
			}
		}
	}
}

// staticEncoder is a table of token vectors.
type staticEncoder struct {
	table     *static.Table
	normalize bool // beyond what the table says itself
}

func (e *staticEncoder) dim() int          { return e.table.Dim() }
func (e *staticEncoder) size() int         { return e.table.Size() }
func (e *staticEncoder) positions() int    { return 0 }
func (e *staticEncoder) sum() [32]byte     { return e.table.Sum() }
func (e *staticEncoder) precision() string { return e.table.Layout() }

// A table offers nothing but what it is stored in, under its own name if it has one here.
func (e *staticEncoder) offers(f NumberFormat) bool {
	return f == Auto || f.String() == e.table.Layout()
}

func (e *staticEncoder) shape() string {
	s := fmt.Sprintf("static-%d-mean", e.dim())
	if e.normalize || e.table.Normalize() {
		s += "-unit"
	}
	return s
}

func (e *staticEncoder) embed(ctx context.Context, ids []int32, _ *scratch, dst []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := e.table.EmbedIDsInto(ids, dst); err != nil {
		return err
	}
	if e.normalize {
		normalize(dst)
	}
	return nil
}

// normalize brings v to length 1; the zero vector stays as it is.
func normalize(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}

// finite reports whether no component of v is NaN or infinite.
func finite(v []float32) bool {
	for _, x := range v {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
			return false
		}
	}
	return true
}
