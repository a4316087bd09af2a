// Package steps holds ready-made Modules: models and metrics as steps of a pipeline. It is where the
// numeric packages (models, metrics) and the executing ones (layers, kernel) meet; it computes nothing
// itself. All of them are computing steps that fill engine memory: a warm engine allocates nothing for
// them, except for the text that Humanize writes.
package steps

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/types"
)

// version is the version of the steps in this package: raise it with their results.
const version = "1"

// Threshold is the score from which Humanize calls a similarity high.
var Threshold = layers.NewKey("threshold", 0.8)

// computing marks m as a step of this package.
func computing[I, O any](m layers.Module[I, O]) layers.Module[I, O] {
	return m.With(layers.Computing, layers.Pure, layers.Version(version))
}

// Tokenize splits texts into tokens.
//
// Shape: (n,) texts to (n,) tokenised texts.
func Tokenize(t types.Tokenizer) layers.Module[[]types.RawText, []types.TokenizedText] {
	return computing(layers.Into("tokenize", func(ctx context.Context, texts []types.RawText, out *[]types.TokenizedText) error {
		*out = resize(*out, len(texts))
		for i, text := range texts {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.TokenizeInto(text, &(*out)[i]); err != nil {
				return fmt.Errorf("text %d: %w", i, err)
			}
		}
		return nil
	}))
}

// Embed turns tokenised texts into the vectors of a model. Tokens of another vocabulary are an error;
// texts that are too long are cut.
//
// Shape: (n,) tokenised texts to (n,) float32 embeddings of m.Dim() components.
func Embed(m types.TokenEmbedder) layers.Module[[]types.TokenizedText, []types.Embedding] {
	dim, space := m.Dim(), m.Space()
	return computing(layers.Into("embed", func(ctx context.Context, texts []types.TokenizedText, out *[]types.Embedding) error {
		*out = resize(*out, len(texts))
		for i := range texts {
			e := &(*out)[i]
			e.F32, e.Space = resize(e.F32, dim), space
			if _, err := m.EmbedTokensInto(ctx, &texts[i], e.F32); err != nil {
				return fmt.Errorf("text %d: %w", i, err)
			}
		}
		return nil
	}))
}

// Similarity compares two embeddings. Embeddings of different spaces are a *types.SpaceError.
//
// Shape: (2,) embeddings to a scalar.
func Similarity(metric metrics.Metric) layers.Module[[]types.Embedding, float64] {
	return computing(layers.Into("similarity", func(_ context.Context, e []types.Embedding, out *float64) (err error) {
		if len(e) != 2 {
			return fmt.Errorf("similarity of %d embeddings: two are needed", len(e))
		}
		*out, err = metrics.Compare(metric, &e[0], &e[1])
		return err
	}))
}

// Humanize says in words whether a score reaches Threshold. A threshold or score that is no finite
// number is an error.
func Humanize() layers.Module[float64, string] {
	return computing(layers.Func("humanize", func(ctx context.Context, score float64) (string, error) {
		threshold := Threshold.Get(ctx)
		switch {
		case !finite(threshold):
			return "", fmt.Errorf("threshold is %v", threshold)
		case !finite(score):
			return "", fmt.Errorf("similarity score is %v", score)
		case score >= threshold:
			return fmt.Sprintf("Similarity score is high (%.2f)", score), nil
		}
		return fmt.Sprintf("Similarity score is low (%.2f)", score), nil
	})).With(layers.Reads(Threshold))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// resize returns s with length n, with what its elements held up to its capacity.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return slices.Grow(s[:cap(s)], n-cap(s))[:n]
}
