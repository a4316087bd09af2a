package embedtest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/embedtest"
	"github.com/maida-ai/gomai/types"
)

func TestOurEmbedders(t *testing.T) {
	builtin, err := models.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	defer builtin.Close()
	tiny, err := models.Open("../testdata/tiny-bert")
	if err != nil {
		t.Fatal(err)
	}
	defer tiny.Close()
	short, err := models.Open("../testdata/tiny-bert", models.AsQuery, models.MaxTokens(9), models.Batching(false))
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	for name, e := range map[string]types.Embedder{
		"the stand-in":             &embedtest.Embedder{},
		"the stand-in, 3":          &embedtest.Embedder{Dims: 3},
		"the built-in model":       builtin,
		"an encoder":               tiny,
		"an encoder, with options": short,
	} {
		if err := embedtest.TestEmbedder(t.Context(), e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMiniLM(t *testing.T) {
	testmodel.Slow(t)
	m, err := models.Open(testmodel.MiniLM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := embedtest.TestEmbedder(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func vector(t *testing.T, e *embedtest.Embedder, text string, opts ...types.EmbedOption) ([]float32, types.Info) {
	t.Helper()
	dst := make([]float32, e.Dim())
	info, err := e.EmbedInto(t.Context(), text, dst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return dst, info
}

func TestWordsDecide(t *testing.T) {
	e := &embedtest.Embedder{}
	a, info := vector(t, e, "The cat sat on the mat")
	if math.Abs(metrics.Dot(a, a)-1) > 1e-6 || info != (types.Info{Tokens: 6, Known: 1}) {
		t.Errorf("length^2 %v, %+v", metrics.Dot(a, a), info)
	}
	last := 1.0
	for _, text := range []string{"the cat sat on the mat!", "the cat sat on the sofa", "a cat slept on the sofa", "stocks fell again"} {
		b, _ := vector(t, e, text)
		c := metrics.Cosine(a, b)
		if !(c < last-0.001) {
			t.Errorf("%q has cosine %v, not less than the one before it, %v", text, c, last)
		}
		last = c
	}
	if other := (&embedtest.Embedder{Dims: 8}); other.Space() == e.Space() || other.Dim() != 8 {
		t.Errorf("8 components: %d, in the space %q", other.Dim(), other.Space())
	}
	// Of an earlier run: the bits may never change.
	if got := fmt.Sprint(a[:3]); got != golden {
		t.Errorf("the vector begins with %s, want %s", got, golden)
	}
}

const golden = "[0.10115783 0.01620083 0.051367387]"

func TestLongAndFailing(t *testing.T) {
	e := &embedtest.Embedder{}
	got, info := vector(t, e, "one two  three", models.MaxTokens(2))
	if want, _ := vector(t, e, "one two"); !slices.Equal(got, want) || info.Tokens != 2 || !info.Truncated {
		t.Errorf("%+v, or another vector than of the first two words", info)
	}
	var long *models.LengthError
	if _, err := e.EmbedInto(t.Context(), "one two three", got, models.MaxTokens(2), models.Overflow(models.Refuse)); !errors.As(err, &long) || *long != (models.LengthError{Tokens: 3, Max: 2}) {
		t.Errorf("refused: %v", err)
	}
	broken := errors.New("broken")
	e.Fail = func(text string) error {
		if strings.Contains(text, "bad") {
			return broken
		}
		return nil
	}
	texts := []string{"good", "a bad one", "good"}
	dst, infos := make([]float32, 3*e.Dim()), make([]types.Info, 3)
	if err := e.EmbedBatchInto(t.Context(), texts, dst, infos); err != nil || infos[1].Err != broken || infos[0].Err != nil || infos[2].Err != nil {
		t.Errorf("%v, %+v", err, infos)
	}
	if row := dst[e.Dim() : 2*e.Dim()]; slices.ContainsFunc(row, func(x float32) bool { return x != 0 }) || dst[0] != dst[2*e.Dim()] || dst[0] == 0 {
		t.Error("the failing text has a vector, or the others have none")
	}
	if err := e.EmbedBatchInto(t.Context(), texts, dst, nil); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "text 1: ") {
		t.Errorf("without infos: %v", err)
	}
}

// broken is an embedder with one thing wrong.
type broken struct {
	embedtest.Embedder
	dim   int
	space func() types.SpaceID
	into  func(e *embedtest.Embedder, ctx context.Context, text string, dst []float32) (types.Info, error)
	batch func(e *embedtest.Embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error
}

func (b *broken) Dim() int {
	if b.dim != 0 {
		return b.dim
	}
	return b.Embedder.Dim()
}

func (b *broken) Space() types.SpaceID {
	if b.space != nil {
		return b.space()
	}
	return b.Embedder.Space()
}

func (b *broken) EmbedInto(ctx context.Context, text string, dst []float32, opts ...types.EmbedOption) (types.Info, error) {
	if b.into != nil {
		return b.into(&b.Embedder, ctx, text, dst)
	}
	return b.Embedder.EmbedInto(ctx, text, dst, opts...)
}

func (b *broken) EmbedBatchInto(ctx context.Context, texts []string, dst []float32, infos []types.Info, opts ...types.EmbedOption) error {
	if b.batch != nil {
		return b.batch(&b.Embedder, ctx, texts, dst, infos, opts)
	}
	return b.Embedder.EmbedBatchInto(ctx, texts, dst, infos, opts...)
}

// The suite finds each breach of the interface.
func TestBreachesAreFound(t *testing.T) {
	type embedder = embedtest.Embedder
	var calls atomic.Int64
	plainBatch := func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
		return e.EmbedBatchInto(ctx, texts, dst, infos, opts...)
	}
	for want, b := range map[string]*broken{
		"Dim must be positive": {dim: -1},
		"Space is empty":       {space: func() types.SpaceID { return "" }},
		"Space or Dim changes": {space: func() types.SpaceID { return types.SpaceID(fmt.Sprint(calls.Add(1))) }},
		"component 5 is NaN": {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			info, err := e.EmbedInto(ctx, text, dst)
			dst[5] = float32(math.NaN())
			return info, err
		}},
		"component 63 is 12345": {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			v := make([]float32, len(dst))
			info, err := e.EmbedInto(ctx, text, v)
			copy(dst, v[:63])
			return info, err
		}},
		"13 texts have 1 vectors": {into: func(e *embedder, ctx context.Context, _ string, dst []float32) (types.Info, error) {
			return e.EmbedInto(ctx, "", dst)
		}},
		"Info is": {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			info, err := e.EmbedInto(ctx, text, dst)
			info.Known = 2
			return info, err
		}},
		"the second call gives another vector": {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			return e.EmbedInto(ctx, fmt.Sprint(text, calls.Add(1)), dst)
		}},
		`EmbedInto of "": an empty text`: {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			if text == "" {
				return types.Info{}, errors.New("an empty text")
			}
			return e.EmbedInto(ctx, text, dst)
		}},
		"EmbedInto with 65 floats for 64: no error": {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			return e.EmbedInto(ctx, text, dst[:min(len(dst), 64)])
		}},
		"EmbedInto with 63 floats for 64: dst is written to": {into: func(e *embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
			if len(dst) == 63 {
				dst[0] = 1
			}
			return e.EmbedInto(ctx, text, dst)
		}},
		"EmbedInto with a cancelled context: <nil>": {into: func(e *embedder, _ context.Context, text string, dst []float32) (types.Info, error) {
			return e.EmbedInto(context.Background(), text, dst)
		}},
		"EmbedBatchInto of no texts": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			if len(texts) == 0 {
				return errors.New("nothing to do")
			}
			return plainBatch(e, ctx, texts, dst, infos, opts)
		}},
		"has another vector than alone": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, ctx, texts, dst, infos, opts)
			if len(dst) > 0 && err == nil {
				dst[len(dst)-1]++
			}
			return err
		}},
		"EmbedBatchInto: the Info of": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			if len(infos) == len(texts) {
				infos = make([]types.Info, len(infos))
			}
			return plainBatch(e, ctx, texts, dst, infos, opts)
		}},
		"EmbedBatchInto changes the texts": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, ctx, texts, dst, infos, opts)
			if len(texts) > 2 {
				texts[0] = "other"
			}
			return err
		}},
		"EmbedBatchInto with 1 infos for 2 texts: no error": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			return plainBatch(e, ctx, texts, dst, nil, opts)
		}},
		"EmbedBatchInto with 129 floats for 2 texts of 64: no error": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			return plainBatch(e, ctx, texts, dst[:min(len(dst), 64*len(texts))], infos, opts)
		}},
		"EmbedBatchInto with a cancelled context: <nil>": {batch: func(e *embedder, _ context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			return plainBatch(e, context.Background(), texts, dst, infos, opts)
		}},
		"beside a text that is too long": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, ctx, texts, dst, infos, opts)
			if len(infos) == 3 && infos[1].Err != nil {
				infos[2].Err = infos[1].Err
			}
			return err
		}},
		"with infos: models: 3000 tokens": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, ctx, texts, dst, infos, opts)
			for _, info := range infos {
				err = errors.Join(err, info.Err)
			}
			return err
		}},
		"that failed is not zero": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, ctx, texts, dst, infos, opts)
			if len(infos) == 3 && infos[1].Err != nil {
				dst[64] = 1
			}
			return err
		}},
		"which is text 1, is <nil>": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, ctx, texts, dst, infos, opts)
			if len(opts) == 2 {
				return nil
			}
			return err
		}},
		"has no Err in its Info": {batch: func(e *embedder, ctx context.Context, texts []string, dst []float32, infos []types.Info, opts []types.EmbedOption) error {
			err := plainBatch(e, context.WithoutCancel(ctx), texts, dst, infos, opts)
			return errors.Join(err, ctx.Err())
		}},
	} {
		err := embedtest.TestEmbedder(t.Context(), b)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, want %q", err, want)
		}
	}
}

// A shared buffer is seen when calls run at once.
func TestSharedMemoryIsFound(t *testing.T) {
	var turn atomic.Int64
	b := &broken{into: func(e *embedtest.Embedder, ctx context.Context, text string, dst []float32) (types.Info, error) {
		// What a race would do, without one: a vector of the neighbour's as soon as calls overlap.
		inside := turn.Add(1)
		defer turn.Add(-1)
		if inside > 1 {
			text += "?"
		}
		for range 100 { // until the others are inside
			runtime.Gosched()
		}
		return e.EmbedInto(ctx, text, dst)
	}}
	if err := embedtest.TestEmbedder(t.Context(), b); err == nil || !strings.Contains(err.Error(), "beside other calls") {
		t.Errorf("found %v", err)
	}
}
