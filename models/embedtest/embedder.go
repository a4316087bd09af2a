// Package embedtest helps to test code that embeds: Embedder stands in for a model where a test wants
// vectors at once and without files, and TestEmbedder checks that an implementation of types.Embedder
// keeps what the interface promises.
//
// The vectors of Embedder are like those of a model in what tests ask about, not in what they mean: equal
// texts have equal vectors, and texts are the nearer the more words they share. For vectors with a meaning
// models.Builtin is small enough for tests, too.
package embedtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"unicode"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

// DefaultDim is the number of components of an Embedder's vectors if it does not say.
const DefaultDim = 64

// Embedder is a stand-in for a model. The zero value is ready for use; its fields must not be changed
// while it is used.
//
// A text is its words, whatever their case and what is between them. Each stands for a direction that its letters
// decide; a text points where most of its words do, moved a little by the text itself, so that two texts are
// never the same. Vectors have length 1 and depend on nothing but the text and Dims: they are the same bits in every
// run and on every machine.
//
// AsQuery and AsDocument change nothing, as in a model without prompts. MaxTokens and Overflow count each
// word as a token. All other options are taken and do nothing.
type Embedder struct {
	Dims int                     // components of a vector; 0 for DefaultDim
	Fail func(text string) error // the error for a text, or nil; nil if none fails
}

var _ types.Embedder = (*Embedder)(nil)

// Dim is the number of components of a vector.
func (e *Embedder) Dim() int {
	if e.Dims > 0 {
		return e.Dims
	}
	return DefaultDim
}

// Space names the space of the vectors: all Embedders of a Dim share one.
func (e *Embedder) Space() types.SpaceID {
	return types.SpaceID(fmt.Sprintf("embedtest/%d", e.Dim()))
}

// EmbedInto writes the vector of text to dst.
//
// Shape:  dst (Dim,).
// Errors: *models.SizeError, *models.LengthError under models.Overflow(models.Refuse), ctx.Err() when ctx
// is done, and those of Fail. dst is then unchanged.
func (e *Embedder) EmbedInto(ctx context.Context, text string, dst []float32, opts ...types.EmbedOption) (types.Info, error) {
	if len(dst) != e.Dim() {
		return types.Info{}, &models.SizeError{Slice: "dst", Len: len(dst), Want: e.Dim()}
	}
	return e.embed(ctx, text, dst, opts)
}

// EmbedBatchInto writes the vectors of texts to dst and what was seen of each to infos, as
// types.Embedder says.
//
// Shape:  dst (len(texts), Dim), row by row; infos nil or (len(texts),).
// Errors: *models.SizeError and ctx.Err(); without infos also that of the first text that failed.
func (e *Embedder) EmbedBatchInto(ctx context.Context, texts []string, dst []float32, infos []types.Info, opts ...types.EmbedOption) error {
	dim := e.Dim()
	if want := len(texts) * dim; len(dst) != want {
		return &models.SizeError{Slice: "dst", Len: len(dst), Want: want}
	}
	if infos != nil && len(infos) != len(texts) {
		return &models.SizeError{Slice: "infos", Len: len(infos), Want: len(texts)}
	}
	var first error
	for i, text := range texts {
		row := dst[i*dim : (i+1)*dim]
		info, err := e.embed(ctx, text, row, opts)
		if err != nil {
			clear(row)
			info.Err = err
			if first == nil {
				first = fmt.Errorf("text %d: %w", i, err)
			}
		}
		if infos != nil {
			infos[i] = info
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if infos != nil {
		return nil
	}
	return first
}

func (e *Embedder) embed(ctx context.Context, text string, dst []float32, opts []types.EmbedOption) (types.Info, error) {
	if err := ctx.Err(); err != nil {
		return types.Info{}, err
	}
	if e.Fail != nil {
		if err := e.Fail(text); err != nil {
			return types.Info{}, err
		}
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r)
	})
	info := types.Info{Tokens: len(words), Known: 1}
	limit, refuse := 0, false
	for _, o := range opts {
		switch o.Kind {
		case types.OptionMaxTokens:
			limit = int(o.Value)
		case types.OptionOverflow:
			refuse = models.OverflowRule(o.Value) == models.Refuse
		}
	}
	if limit > 0 && len(words) > limit {
		if refuse {
			return info, &models.LengthError{Tokens: len(words), Max: limit}
		}
		words, info.Tokens, info.Truncated = words[:limit], limit, true
		text = strings.Join(words, " ")
	}
	sum := make([]float64, len(dst))
	for _, w := range words {
		add(sum, "word "+w, 1)
	}
	add(sum, "text "+text, own)
	write(dst, sum)
	return info, nil
}

// own is how much of a text's direction is its own, measured in words.
const own = 0.1

// add adds weight times the direction of key, whose components are between -1 and 1.
func add(sum []float64, key string, weight float64) {
	h := fnv.New64a()
	h.Write([]byte(key))
	x := h.Sum64()
	for i := range sum {
		// splitmix64 (Steele, Lea and Flood, 2014).
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		sum[i] += float64(weight * (float64(z>>11)/(1<<52) - 1))
	}
}

// write writes sum to dst, with length 1.
func write(dst []float32, sum []float64) {
	var square float64
	for _, v := range sum {
		square += float64(v * v)
	}
	length := math.Sqrt(square)
	for i, v := range sum {
		dst[i] = float32(v / length)
	}
}
