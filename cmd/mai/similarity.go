package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/modelfile"
)

// similarityRecord is what similarity prints with --json.
type similarityRecord struct {
	Metric string  `json:"metric"`
	Score  float64 `json:"score"`
}

// pairRecord is what similarity prints with --json for a pair of a file.
type pairRecord struct {
	Index int `json:"index"`
	similarityRecord
}

// pair is two texts to compare.
type pair struct {
	a, b string
}

// pairs are items of two texts.
var pairs = kind[pair]{
	item:     "pair",
	flag:     "compare the pairs in `FILE`, one a line with a tab between its texts; - is stdin",
	jsonFlag: `a line is {"a": "...", "b": "..."}; on by itself for *.jsonl`,
	plain: func(line []byte) (pair, error) {
		if tabs := bytes.Count(line, []byte("\t")); tabs != 1 {
			return pair{}, fmt.Errorf("%d tabs; a pair is two texts with one tab between them", tabs)
		}
		a, b, _ := bytes.Cut(line, []byte("\t"))
		return pair{string(a), string(b)}, nil
	},
	jsonLine: func(line []byte) (pair, error) {
		var v struct {
			A *string `json:"a"`
			B *string `json:"b"`
		}
		if err := modelfile.DecodeJSON("", line, &v); err != nil {
			return pair{}, err
		}
		if v.A == nil {
			return pair{}, missing("a")
		}
		if v.B == nil {
			return pair{}, missing("b")
		}
		return pair{*v.A, *v.B}, nil
	},
	texts:  2,
	nameOf: func(text int) string { return fmt.Sprintf("text %c of pair %d", "ab"[text%2], text/2) },
}

func newSimilarity() *cobra.Command {
	var model modelFlag
	in := input[pair]{kind: pairs}
	var name string
	cmd := &cobra.Command{
		Use:   "similarity [A B]",
		Short: "Say how alike two texts are",
		Long: `Say how alike two texts are, or, with --file, the texts of each pair in a file.

A file holds one pair a line, with a tab between its two texts, and the answer to each is the
line SCORE, A, B with tabs between them, for 'sort -n' and 'cut'; tabs and ends of lines that
a text from JSON may hold become spaces, and characters that control a terminal or the direction
of text are written as \x1b and \u202e. Answers are in the order of the file. Memory stays bounded
however long the file is, and each line is answered as it arrives. A line that is no pair ends the
run, after the answers to those before it. --jsonl=false reads a *.jsonl file as plain lines.

With --json it prints {"metric", "score"}, for a file one {"index", "metric", "score"} a line;
index counts pairs from 0.`,
		Example: `  mai similarity "a cat sat on the mat" "the mat has a cat on it"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			metric, ok := metrics.ByName(name)
			if !ok {
				return usagef("--metric %s: must be one of %s", name, strings.Join(metrics.Names(), ", "))
			}
			var alone []pair
			switch {
			case in.file == "" && len(args) != 2:
				return usagef("wants two texts, or --file; arguments: %d", len(args))
			case in.file == "":
				alone = []pair{{args[0], args[1]}}
				in.kind.nameOf = textName
			case len(args) > 0:
				return in.twoSources()
			}
			source, err := in.open(alone, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer source.Close()
			m, err := model.open()
			if err != nil {
				return err
			}
			defer m.Close()
			return stream(cmd, source, func(ctx context.Context, index int, p pair) (any, []flawed, error) {
				p, score, found, err := compare(ctx, m, metric, index, p)
				record := similarityRecord{name, score}
				switch asJSON := wantsJSON(cmd); {
				case alone != nil && asJSON:
					return record, found, err
				case alone != nil:
					return fmt.Sprintf("%.6f", score), found, err
				case asJSON:
					return pairRecord{index, record}, found, err
				}
				return fmt.Sprintf("%.6f\t%s\t%s", score, oneField(p.a), oneField(p.b)), found, err
			})
		},
	}
	model.flags(cmd)
	in.flags(cmd)
	cmd.Flags().StringVar(&name, "metric", "cosine", "compare by `METRIC`: "+strings.Join(metrics.Names(), ", "))
	return cmd
}

// oneField keeps a text within its field of a line, and from doing anything to a terminal: characters
// that control it, or that turn the direction of what follows, are shown as Go writes them (\x1b).
func oneField(s string) string {
	if strings.IndexFunc(s, controls) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case controls(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// controls says whether r is a control character or one of the explicit bidirectional formatting
// characters (https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters).
func controls(r rune) bool {
	return unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// compare returns the pair as the model read it, and its score.
func compare(ctx context.Context, m *models.Model, metric metrics.Metric, index int, p pair) (pair, float64, []flawed, error) {
	a, textA, found, err := embedText(ctx, m, 2*index, p.a, nil)
	if err != nil {
		return p, 0, nil, err
	}
	b, textB, more, err := embedText(ctx, m, 2*index+1, p.b, nil)
	if err != nil {
		return p, 0, nil, err
	}
	return pair{textA, textB}, metric(a, b), append(found, more...), nil
}
