package encoder

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

// root is the folder of the repository, whose texts are measured.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Rows are the pairs of sentences of the development part of the STS Benchmark.
var Rows = sync.OnceValue(func() [][2]string {
	data, err := os.ReadFile(filepath.Join(root(), "models", "micro", "testdata", "stsb-en-dev.tsv"))
	if err != nil {
		panic(err) // belongs to the repository
	}
	var rows [][2]string
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		rows = append(rows, [2]string{cells[1], cells[2]})
	}
	return rows
})

// column are the sentences of some rows, first or second ones.
func column(which, from, to int) []string {
	var texts []string
	for _, r := range Rows()[from:to] {
		texts = append(texts, r[which])
	}
	return texts
}

// odd are texts that nobody writes every day.
func odd() []string {
	var texts []string
	data, err := os.ReadFile(filepath.Join(root(), "models", "testdata", "texts.json"))
	if err == nil {
		err = json.Unmarshal(data, &texts)
	}
	if err != nil {
		panic(err) // belongs to the repository
	}
	return texts
}

// tokens is the model's tokeniser.
var tokens = sync.OnceValues(func() (*tokenizer.Tokenizer, error) {
	return tokenizer.Open(filepath.Join(Folder(), "tokenizer.json"))
})

// split returns the ids of texts, 512 of each at most.
func split(texts []string) ([][]int32, error) {
	t, err := tokens()
	if err != nil {
		return nil, err
	}
	var all [][]int32
	for _, text := range texts {
		out, err := t.Tokenize(text)
		if err != nil {
			return nil, err
		}
		ids := out.IDs
		if len(ids) > 512 {
			ids = append(ids[:511:511], ids[len(ids)-1])
		}
		all = append(all, ids)
	}
	return all, nil
}

// TextsOf are n different texts of so many tokens, made of the words of the sentences.
func TextsOf(n, length int) ([]string, error) {
	t, err := tokens()
	if err != nil {
		return nil, err
	}
	var texts []string
	var words []string
	for _, word := range strings.Fields(strings.Join(column(1, 0, len(Rows())), " ")) {
		words = append(words, word)
		out, err := t.Tokenize(strings.Join(words, " "))
		if err != nil {
			return nil, err
		}
		switch {
		case len(out.IDs) > length: // the word has too many tokens
			words = words[:len(words)-1]
		case len(out.IDs) == length:
			if text := strings.Join(words, " "); !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
			if len(texts) == n {
				return texts, nil
			}
			words = nil
		}
	}
	return nil, fmt.Errorf("%d texts of %d tokens: only %d", n, length, len(texts))
}

// Split is a set of texts for the tokeniser.
type Split struct {
	Name, About string
	Texts       []string
	Faster      float64 // than the reference library at least
}

// Splits are all sets of texts for the tokeniser.
func Splits() []Split {
	sentences := column(0, 0, len(Rows()))
	all := strings.Join(sentences, " ")
	var long []string
	for len(all) >= 10_000 {
		long, all = append(long, all[:10_000]), all[10_000:]
	}
	return []Split{
		{"WordPiece, sentences", fmt.Sprintf("%d sentences to tokens with their offsets, on one core.", len(sentences)), sentences, 15},
		{"WordPiece, long texts", fmt.Sprintf("%d English texts of 10 kB to tokens with their offsets, on one core.", len(long)), long, 25},
	}
}

// Work of a call makes the rate of a case one in MB/s.
func (s Split) Work() float64 {
	n := 0
	for _, t := range s.Texts {
		n += len(t)
	}
	return 1000 * float64(n)
}

// Group has gomai's case.
func (s Split) Group() bench.Group {
	return bench.Group{Name: s.Name, About: s.About, Rounds: 60, Rate: "MB/s", Cases: []bench.Case{weighed(bench.Case{
		Name: Gomai, Work: s.Work(), Open: func() (bench.Round, func(), error) {
			t, err := tokens()
			if err != nil {
				return nil, nil, err
			}
			var out types.TokenizedText
			run := func(n int) error {
				for range n {
					for _, text := range s.Texts {
						if err := t.TokenizeInto(text, &out); err != nil {
							return err
						}
					}
				}
				return nil
			}
			return bench.Timed(1, run), nil, run(2)
		}})}}
}

// static measures a sentence with the model that is in every program.
func static() bench.Group {
	const text, steps = "the quick brown fox jumps over it", "text to tokens"
	return bench.Group{
		Name:   "a sentence of 9 tokens",
		About:  "A sentence that has 9 tokens with the special ones, on one core: WordPiece alone, and text to vector by the built-in static model.",
		Rounds: 200,
		Cases: []bench.Case{
			weighed(bench.Case{Name: steps, Open: func() (bench.Round, func(), error) {
				t, err := tokens()
				if err != nil {
					return nil, nil, err
				}
				var out types.TokenizedText
				run := func(n int) (err error) {
					for range n {
						err = t.TokenizeInto(text, &out)
					}
					return err
				}
				return bench.Timed(2000, run), nil, run(20)
			}}),
			{Name: "static model", Open: func() (bench.Round, func(), error) {
				m, err := models.Builtin()
				if err != nil {
					return nil, nil, err
				}
				run := timedText(m, text)
				return bench.Timed(1000, run), func() { m.Close() }, run(20)
			}},
		},
		Limits: []bench.Limit{
			{Case: steps, Stat: bench.Median, Bound: 1000},
			{Case: "static model", Stat: bench.Median, Bound: 3000},
		},
	}
}

// timedText is calls from text to vector.
func timedText(m *models.Model, text string) func(n int) error {
	ctx, dst := context.Background(), make([]float32, m.Dim())
	return func(n int) error {
		for range n {
			if _, err := m.EmbedInto(ctx, text, dst); err != nil {
				return err
			}
		}
		return nil
	}
}
