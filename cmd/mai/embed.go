package main

import (
	"context"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/encoding/unicode"

	"github.com/maida-ai/gomai/models"
)

// embedRecord is what embed prints for a text.
type embedRecord struct {
	Index     int       `json:"index"`
	Text      string    `json:"text"`
	Tokens    int       `json:"tokens"` // that the model saw, special ones included
	Truncated bool      `json:"truncated"`
	Embedding []float32 `json:"embedding"`
}

func newEmbed() *cobra.Command {
	var model modelFlag
	in := input[string]{kind: texts}
	var precision string
	var maxTokens int
	cmd := &cobra.Command{
		Use:   "embed [TEXT...]",
		Short: "Turn texts into vectors",
		Long: `Turn texts into vectors: one JSON line each, in order, as
{"index", "text", "tokens", "truncated", "embedding"}.

A file holds one text a line; a blank line is an empty text and gets a vector too. Memory
stays bounded however long the file is, and each line is answered as it arrives.`,
		Example: `  mai embed "hello world"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := embedOptions(cmd, precision, maxTokens)
			if err != nil {
				return err
			}
			source, err := in.open(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer source.Close()
			m, err := model.open()
			if err != nil {
				return err
			}
			defer m.Close()
			return stream(cmd, source, func(ctx context.Context, index int, text string) (embedRecord, []flawed, error) {
				return embedText(ctx, m, index, text, opts)
			})
		},
	}
	model.flags(cmd)
	in.flags(cmd)
	cmd.Flags().StringVar(&precision, "precision", "auto", "compute in `P`: auto, f32, bf16 or int8; an error where the model does not offer it")
	cmd.Flags().IntVar(&maxTokens, "max-tokens", 0, "read at most `N` tokens of a text (default: the model's own limit)")
	return cmd
}

func embedOptions(cmd *cobra.Command, precision string, maxTokens int) ([]models.Option, error) {
	precisions := map[string]models.NumberFormat{"f32": models.F32, "bf16": models.BF16, "int8": models.Int8, "auto": models.Auto}
	p, ok := precisions[precision]
	if !ok {
		return nil, usagef("--precision %s: must be f32, bf16, int8 or auto", precision)
	}
	opts := []models.Option{models.Precision(p)}
	if maxTokens < 0 || maxTokens == 0 && cmd.Flags().Changed("max-tokens") {
		return nil, usagef("--max-tokens %d: must be at least 1", maxTokens)
	}
	if maxTokens > 0 {
		opts = append(opts, models.MaxTokens(maxTokens))
	}
	return opts, nil
}

func embedText(ctx context.Context, m *models.Model, index int, text string, opts []models.Option) (embedRecord, []flawed, error) {
	var found []flawed
	if !utf8.ValidString(text) {
		found = append(found, flawed{index, illFormed})
		text = wellFormed(text)
	}
	r := embedRecord{Index: index, Text: text, Embedding: make([]float32, m.Dim())}
	info, err := m.EmbedInto(ctx, text, r.Embedding, opts...)
	if err != nil {
		return r, nil, err
	}
	r.Tokens, r.Truncated = info.Tokens, info.Truncated
	if info.Truncated {
		found = append(found, flawed{index, truncated})
	}
	if info.Known < mostlyUnknown {
		found = append(found, flawed{index, unknown})
	}
	return r, found, nil
}

// wellFormed replaces each maximal subpart of ill-formed UTF-8 by U+FFFD, as the tokenisers do.
// Package json would replace each byte.
func wellFormed(s string) string {
	// This decoder never fails: it replaces.
	s, _ = unicode.UTF8.NewDecoder().String(s)
	return s
}
