package steps

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/types"
)

// letters is a model of two dimensions: how many a's and b's a text has.
type letters struct{}

func (letters) Vocab() types.VocabID { return "letters" }

func (letters) TokenizeInto(text string, dst *types.TokenizedText) error {
	if strings.Contains(text, "!") {
		return errors.New("no exclamations")
	}
	dst.IDs = dst.IDs[:0]
	for _, c := range text {
		dst.IDs = append(dst.IDs, c)
	}
	dst.Vocab = "letters"
	return nil
}

func (letters) Dim() int             { return 2 }
func (letters) Space() types.SpaceID { return "letters 2" }

func (letters) EmbedTokensInto(_ context.Context, t *types.TokenizedText, dst []float32, _ ...types.EmbedOption) (types.Info, error) {
	clear(dst)
	for _, id := range t.IDs {
		if id == 'a' || id == 'b' {
			dst[id-'a']++
		}
	}
	return types.Info{Tokens: len(t.IDs), Known: 1}, nil
}

func (l letters) EmbedInto(ctx context.Context, text string, dst []float32, opts ...types.EmbedOption) (types.Info, error) {
	var t types.TokenizedText
	if err := l.TokenizeInto(text, &t); err != nil {
		return types.Info{}, err
	}
	return l.EmbedTokensInto(ctx, &t, dst, opts...)
}

func (letters) EmbedBatchInto(context.Context, []string, []float32, []types.Info, ...types.EmbedOption) error {
	return errors.ErrUnsupported
}

func embeddings() layers.Module[[]string, []types.Embedding] {
	return layers.Sequential(Tokenize(letters{}), Embed(letters{}))
}

func compile[I, O any](t *testing.T, m layers.Module[I, O]) *layers.Engine[I, O] {
	t.Helper()
	e, err := layers.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEmbed(t *testing.T) {
	e := compile(t, embeddings())
	first, err := e.Call(t.Context(), []string{"aab", "b", ""})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = e.Call(t.Context(), []string{"bbb", "bbb", "bbb", "bbb"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][2]float32{{2, 1}, {0, 1}, {0, 0}} {
		if got := first[i]; len(got.F32) != 2 || [2]float32(got.F32) != want || got.Space != "letters 2" {
			t.Errorf("text %d: got %v, want %v", i, got, want)
		}
	}
	if _, err = e.Call(t.Context(), []string{"a", "!"}); err == nil || err.Error() != "tokenize: text 1: no exclamations" {
		t.Errorf("got %v", err)
	}
}

func TestSimilarity(t *testing.T) {
	e := compile(t, layers.Sequential(embeddings(), Similarity(metrics.Cosine)))
	for text, want := range map[string]float64{"a": 1, "b": 0, "ab": math.Sqrt(0.5), "": 0} {
		got, err := e.Call(t.Context(), []string{"a", text})
		if err != nil || math.Abs(got-want) > 1e-6 {
			t.Errorf("a, %q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, texts := range [][]string{nil, {"a"}, {"a", "a", "a"}} {
		if _, err := e.Call(t.Context(), texts); err == nil {
			t.Errorf("similarity of %d texts", len(texts))
		}
	}
	var space *types.SpaceError
	mixed := []types.Embedding{{F32: []float32{1}, Space: "one"}, {F32: []float32{1}, Space: "two"}}
	if _, err := compile(t, Similarity(metrics.Cosine)).Call(t.Context(), mixed); !errors.As(err, &space) || space.A != "one" {
		t.Errorf("got %v", err)
	}
}

func TestHumanize(t *testing.T) {
	e := compile(t, Humanize())
	for _, c := range []struct {
		score float64
		opts  []layers.Option
		want  string
	}{
		{0.8, nil, "Similarity score is high (0.80)"},
		{0.79, nil, "Similarity score is low (0.79)"},
		{0.79, []layers.Option{Threshold.Set(0.75)}, "Similarity score is high (0.79)"},
		{1, []layers.Option{Threshold.Set(1.5)}, "Similarity score is low (1.00)"},
		{-1, []layers.Option{Threshold.Set(-2)}, "Similarity score is high (-1.00)"},
	} {
		if got, err := e.Call(t.Context(), c.score, c.opts...); err != nil || got != c.want {
			t.Errorf("score %v: got %q, %v; want %q", c.score, got, err, c.want)
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got, err := e.Call(t.Context(), 0.5, Threshold.Set(bad)); err == nil {
			t.Errorf("threshold %v: got %q", bad, got)
		}
		if got, err := e.Call(t.Context(), bad); err == nil {
			t.Errorf("score %v: got %q", bad, got)
		}
	}
}

func TestIdentity(t *testing.T) {
	m := layers.Sequential3(embeddings(), Similarity(metrics.Cosine), Humanize())
	if _, err := compile(t, m).Plan().Hash(); err != nil {
		t.Error(err)
	}
}

func TestZeroAllocations(t *testing.T) {
	if invariants.On {
		t.Skip("invariants keep no memory")
	}
	e := compile(t, layers.Sequential(embeddings(), Similarity(metrics.Cosine)))
	ctx, texts := context.Background(), []string{"aab", "abb"}
	var out float64
	if n := testing.AllocsPerRun(100, func() {
		if err := e.CallInto(ctx, texts, &out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}
