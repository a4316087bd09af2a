package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

// tokenRecord is what tokenize prints for a text.
type tokenRecord struct {
	Index   int        `json:"index"`
	IDs     []int32    `json:"ids"`
	Tokens  []string   `json:"tokens"`
	Offsets [][2]int32 `json:"offsets"` // half-open, in bytes
}

func newTokenize() *cobra.Command {
	var model modelFlag
	in := input[string]{kind: texts}
	cmd := &cobra.Command{
		Use:   "tokenize [TEXT...]",
		Short: "Show the tokens that a model sees",
		Long: `Show the tokens that a model sees: one JSON line a text, in order, as
{"index", "ids", "tokens", "offsets"}.

Special tokens are included and have the offsets [0, 0]; nothing is truncated. Offsets are
bytes of the text. Of the model only the tokeniser is read, so a folder with nothing but a
tokenizer.json will do.`,
		Example: `  mai tokenize "hello world"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := in.open(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer source.Close()
			t, err := model.openTokenizer()
			if err != nil {
				return err
			}
			return stream(cmd, source, func(_ context.Context, index int, text string) (tokenRecord, []flawed, error) {
				return tokenizeText(t, index, text)
			})
		},
	}
	model.flags(cmd)
	in.flags(cmd)
	return cmd
}

func tokenizeText(t *tokenizer.Tokenizer, index int, text string) (tokenRecord, []flawed, error) {
	var tokens types.TokenizedText
	if err := t.TokenizeInto(text, &tokens); err != nil {
		return tokenRecord{}, nil, err
	}
	r := tokenRecord{
		Index:   index,
		IDs:     append([]int32{}, tokens.IDs...), // never null
		Tokens:  make([]string, len(tokens.IDs)),
		Offsets: make([][2]int32, len(tokens.IDs)),
	}
	for i, id := range tokens.IDs {
		r.Tokens[i] = t.Token(id)
		r.Offsets[i] = [2]int32{tokens.Offsets[i].Start, tokens.Offsets[i].End}
	}
	if tokens.Invalid > 0 {
		return r, []flawed{{index, illFormed}}, nil
	}
	return r, nil, nil
}
