package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/micro"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// modelFlag is --model, a model's folder or file of weights, or nothing for the built-in one, and
// --tokenizer.
type modelFlag struct {
	path      string
	tokenizer string
	cmd       *cobra.Command
}

func (m *modelFlag) flags(cmd *cobra.Command) {
	m.cmd = cmd
	cmd.Flags().StringVar(&m.path, "model", "", "use the model in `FOLDER`, or a .gomai, .safetensors or .onnx file, instead of the built-in one")
	cmd.Flags().StringVar(&m.tokenizer, "tokenizer", "", "take the model's tokeniser from `FILE`, a tokenizer.json or vocab.txt")
}

func (m *modelFlag) open(opts ...models.Option) (*models.Model, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.tokenizer != "" {
		opts = append(opts, models.TokenizerFile(m.tokenizer))
	}
	bars := &stages{w: m.cmd.ErrOrStderr()}
	defer bars.finish()
	return openModel(m.path, append(opts, models.Progress(bars.set))...)
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
	switch {
	case m.path == "" && m.cmd.Flags().Changed("model"):
		return usagef("--model: must name a folder")
	case m.tokenizer == "" && m.cmd.Flags().Changed("tokenizer"):
		return usagef("--tokenizer: must name a file")
	}
	return nil
}

// openTokenizer opens the tokeniser of the model without reading weights.
func (m *modelFlag) openTokenizer() (*tokenizer.Tokenizer, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.tokenizer != "" {
		return tokenizer.Open(m.tokenizer)
	}
	switch filepath.Ext(m.path) {
	case ".json", ".txt": // a tokeniser's own file
		return tokenizer.Open(m.path)
	}
	if m.path == "" {
		b, err := models.Builtin()
		if err != nil {
			return nil, err
		}
		return b.Tokenizer(), nil
	}
	return models.OpenTokenizer(m.path)
}
