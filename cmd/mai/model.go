package main

import (
	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/micro"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// modelFlag is --model: the folder of a model, or nothing for the built-in one.
type modelFlag struct {
	path string
	cmd  *cobra.Command
}

func (m *modelFlag) flags(cmd *cobra.Command) {
	m.cmd = cmd
	cmd.Flags().StringVar(&m.path, "model", "", "use the model in `FOLDER` instead of the built-in one")
}

func (m *modelFlag) open(opts ...models.Option) (*models.Model, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return openModel(m.path, opts...)
}

// openModel opens the model at path, the built-in one if that is "".
func openModel(path string, opts ...models.Option) (*models.Model, error) {
	if path == "" {
		return models.OpenFS(micro.FS, micro.Dir, opts...)
	}
	return models.Open(path, opts...)
}

// check refuses an empty name: a script whose variable is not set does not mean the built-in model.
func (m *modelFlag) check() error {
	if m.path == "" && m.cmd.Flags().Changed("model") {
		return usagef("--model: must name a folder")
	}
	return nil
}

// openTokenizer opens the tokeniser of the model without reading weights.
func (m *modelFlag) openTokenizer() (*tokenizer.Tokenizer, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.path == "" {
		b, err := models.Builtin()
		if err != nil {
			return nil, err
		}
		return b.Tokenizer(), nil
	}
	return tokenizer.Open(m.path)
}
