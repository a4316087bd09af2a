package main

import (
	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// modelFlag is --model: the folder of a model, or nothing for the built-in one.
type modelFlag struct {
	path string
}

func (m *modelFlag) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.path, "model", "", "use the model in `FOLDER` instead of the built-in one")
}

func (m *modelFlag) open() (*models.Model, error) {
	if m.path == "" {
		return models.Builtin()
	}
	return models.Open(m.path)
}

// openTokenizer opens the tokeniser of the model without reading weights.
func (m *modelFlag) openTokenizer() (*tokenizer.Tokenizer, error) {
	if m.path == "" {
		b, err := models.Builtin()
		if err != nil {
			return nil, err
		}
		return b.Tokenizer(), nil
	}
	return tokenizer.Open(m.path)
}
