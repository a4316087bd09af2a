package distill

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/models/tokenizer"
)

const tinyHidden = 64

// tinyVocab has everything that a real WordPiece vocabulary has: special tokens and placeholders
// first, then single characters, then words and continuations by frequency, some of other scripts.
func tinyVocab() []string {
	v := []string{"[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", ",", ".", "1", "a", "s", "é", "я", "中", "。"}
	v = append(v, "the", "of", "##s", "мир", "and", "##ing")
	for i := range 60 {
		v = append(v, fmt.Sprintf("word%c%c", 'a'+i/26, 'a'+i%26))
	}
	return append(v, "日本", "##ов", "straße")
}

// tinyTokenizer is the tokenizer.json of vocab.
func tinyTokenizer(t testing.TB, vocab []string) []byte {
	t.Helper()
	ids := map[string]int{}
	var added []map[string]any
	for i, token := range vocab {
		ids[token] = i
		if i < 7 && token[:2] != "[u" {
			added = append(added, map[string]any{"id": i, "content": token, "special": true,
				"single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
		}
	}
	template := func(token string) map[string]any {
		return map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": 0}}
	}
	special := func(token string) map[string]any {
		return map[string]any{"id": token, "ids": []int{ids[token]}, "tokens": []string{token}}
	}
	data, err := json.Marshal(map[string]any{
		"version":       "1.0",
		"truncation":    map[string]any{"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
		"padding":       nil,
		"added_tokens":  added,
		"normalizer":    map[string]any{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true},
		"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"post_processor": map[string]any{"type": "TemplateProcessing",
			"single":         []any{template("[CLS]"), map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}, template("[SEP]")},
			"pair":           []any{template("[CLS]"), map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}, template("[SEP]"), map[string]any{"Sequence": map[string]any{"id": "B", "type_id": 1}}},
			"special_tokens": map[string]any{"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
		},
		"decoder": map[string]any{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"model": map[string]any{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
			"max_input_chars_per_word": 100, "vocab": ids},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func loadTokenizer(t testing.TB, data []byte) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.OpenFS(fstest.MapFS{"tokenizer.json": {Data: data}}, ".")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// tinySource is an encoder made up for tests: a token's state is a fixed random vector of its own,
// nudged by its neighbours, and a text's vector is the mean.
func tinySource(t testing.TB) *Source {
	t.Helper()
	vocab := tinyVocab()
	rng := rand.New(rand.NewPCG(3, 4))
	states := make([]float32, len(vocab)*tinyHidden)
	for i := range states {
		states[i] = float32(rng.NormFloat64())
	}
	data := tinyTokenizer(t, vocab)
	return &Source{
		Name: "tiny", License: "mit", Weights: "00ff", HiddenSize: tinyHidden, MaxTokens: 20,
		TokenizerJSON: data, Tokenizer: loadTokenizer(t, data),
		Read: func(_ context.Context, ids []int32, hidden, vector []float32) error {
			if len(ids) > 20 || len(hidden) != len(ids)*tinyHidden || len(vector) != tinyHidden {
				return fmt.Errorf("%d ids with room for %d and %d numbers", len(ids), len(hidden), len(vector))
			}
			clear(vector)
			for i, id := range ids {
				for j := range vector {
					x := states[int(id)*tinyHidden+j] + 0.1*states[int(ids[(i+1)%len(ids)])*tinyHidden+j]
					hidden[i*tinyHidden+j] = x
					vector[j] += x / float32(len(ids))
				}
			}
			return nil
		},
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}
