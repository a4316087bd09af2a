package distill

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

// teacher asks the encoder for vectors, on several goroutines. Each answer goes to its own place, so
// neither their number nor their speed changes the result.
type teacher struct {
	source   *Source
	special  tokenizer.Special
	workers  int
	progress Progress
}

func newTeacher(src *Source, opts *Options) *teacher {
	return &teacher{source: src, special: src.Tokenizer.Special(), workers: opts.Workers, progress: opts.Progress}
}

// tokenize splits texts into tokens of the encoder, without the special ones around them and cut to
// what the encoder takes.
func (t *teacher) tokenize(texts []string) (*bags, error) {
	b := &bags{ends: make([]int, 0, len(texts))}
	var tokens types.TokenizedText
	for _, text := range texts {
		if err := t.source.Tokenizer.TokenizeInto(text, &tokens); err != nil {
			return nil, err
		}
		ids := tokens.IDs[len(t.special.Before) : len(tokens.IDs)-len(t.special.After)]
		b.add(ids[:min(len(ids), t.room())]...)
	}
	return b, nil
}

// room is the number of tokens that a text may have besides the special ones.
func (t *teacher) room() int {
	return t.source.MaxTokens - len(t.special.Before) - len(t.special.After)
}

// tokens fills the two views of each token: its unit vector as a text, and the encoder's state at its
// place in that text.
func (t *teacher) tokens(ctx context.Context, ids []int32, pooled, inner []float32) error {
	h := t.source.HiddenSize
	place := len(t.special.Before)
	return t.each(ctx, "reading tokens", len(ids), func(ctx context.Context, i int, s *scratch) error {
		if err := s.read(ctx, t.source, ids[i:i+1], pooled[i*h:(i+1)*h]); err != nil {
			return err
		}
		copy(inner[i*h:(i+1)*h], s.hidden[place*h:])
		return nil
	})
}

// texts fills out, (texts, hidden), with the unit vectors of texts, which tokenize or idsOf made.
func (t *teacher) texts(ctx context.Context, stage string, texts *bags, out []float32) error {
	h := t.source.HiddenSize
	return t.each(ctx, stage, texts.len(), func(ctx context.Context, i int, s *scratch) error {
		return s.read(ctx, t.source, texts.at(i), out[i*h:(i+1)*h])
	})
}

// each calls f for 0..n-1 on all workers and stops them at the first error.
func (t *teacher) each(ctx context.Context, stage string, n int, f func(ctx context.Context, i int, s *scratch) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var told struct {
		sync.Mutex
		done int
	}
	var wait sync.WaitGroup
	for range min(t.workers, n) {
		wait.Go(func() {
			var s scratch
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i, &s); err != nil {
					cancel(err)
					return
				}
				told.Lock()
				told.done++
				t.progress(stage, told.done, n)
				told.Unlock()
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// scratch is the memory of one worker.
type scratch struct {
	ids    []int32
	hidden []float32 // (len(ids), hidden)
}

// read runs the encoder on text with the special tokens around it and brings the text's vector to
// length 1; the hidden states are in s.
func (s *scratch) read(ctx context.Context, src *Source, text []int32, vector []float32) error {
	s.ids = src.Tokenizer.AppendSpecial(s.ids[:0], text)
	need := len(s.ids) * src.HiddenSize
	if cap(s.hidden) < need {
		s.hidden = make([]float32, need)
	}
	s.hidden = s.hidden[:need]
	if err := src.Read(ctx, s.ids, s.hidden, vector); err != nil {
		return err
	}
	for _, x := range [][]float32{s.hidden, vector} {
		for _, v := range x {
			if v-v != 0 { // NaN or infinite
				return fmt.Errorf("distill: the encoder answers the ids %v with %v", s.ids, v)
			}
		}
	}
	scaleTo(vector, 1)
	return nil
}
