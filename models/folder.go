package models

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/onnx"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// folder is a model's folder in the layout of sentence-transformers: modules.json lists what a text
// goes through, and each module has its files in a folder below. All names are paths in fsys.
type folder struct {
	fsys    fs.FS
	dir     string                   // in fsys
	name    string                   // of the model, if the folder has it
	file    string                   // of the weights, below the transformer; "" to look for it
	packed  *packedModel             // whose files these are, or nil
	display func(name string) string // the name that stands in errors
	weights func(name string) (*safetensors.File, error)
	graph   func(name string) (*onnx.Model, error)

	opening     opening // what the options say; before, where what is made of the weights is kept
	weightsName string  // of the file of weights that was opened, in fsys
}

// The files of a folder that are read. Only the weights, the tokeniser and, for encoders in
// safetensors, config.json must be there.
const (
	weightsFile   = "model.safetensors"
	configFile    = "config.json"
	modulesFile   = "modules.json"
	promptsFile   = "config_sentence_transformers.json"
	lengthFile    = "sentence_bert_config.json"
	tokenizerFile = "tokenizer_config.json"
)

// renamed puts the name that the user knows into an error of a reader that was given fsys.
func (f *folder) renamed(err error) error {
	var bad *modelfile.Error
	if errors.As(err, &bad) {
		bad.File = f.display(bad.File)
		return bad
	}
	var t *tokenizer.Error
	if errors.As(err, &t) && t.File != "" {
		return &modelfile.Error{File: f.display(t.File), Offset: t.Offset, Field: t.Field, Err: t.Err}
	}
	return err
}

func (f *folder) errorf(name, field, format string, args ...any) error {
	return modelfile.Errorf(f.display(name), field, format, args...)
}

// optional decodes a JSON file that may be missing into v.
func (f *folder) optional(name string, v any) error {
	err := modelfile.ReadJSON(f.fsys, name, v)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return f.renamed(err)
	}
	return nil
}

// maxTokens is the length, special tokens included, to which texts are cut: what the model's maker
// says, at most its positions.
func (f *folder) maxTokens(dir string, positions int, t *tokenizer.Tokenizer) (int, error) {
	var st struct {
		Max   *int `json:"max_seq_length"`
		Lower bool `json:"do_lower_case"`
	}
	name, field := path.Join(dir, lengthFile), "max_seq_length"
	if err := f.optional(name, &st); err != nil {
		return 0, err
	}
	if st.Lower && !lowers(t) {
		return 0, f.errorf(name, "do_lower_case", "lower case is left to the tokeniser, and this one keeps capitals")
	}
	limit := float64(positions)
	if st.Max != nil {
		limit = float64(*st.Max)
	} else {
		var tok struct {
			Max *float64 `json:"model_max_length"` // 1e30 where the maker knew none
		}
		name, field = path.Join(dir, tokenizerFile), "model_max_length"
		if err := f.optional(name, &tok); err != nil {
			return 0, err
		}
		if tok.Max != nil {
			limit = *tok.Max
		}
	}
	if least := minTokens(t); !(limit >= float64(least)) {
		return 0, f.errorf(name, field, "%v tokens, an empty text has %d", limit, least)
	}
	return int(min(limit, float64(positions))), nil
}

// lowers reports whether t takes capitals for small letters.
func lowers(t *tokenizer.Tokenizer) bool {
	capital, err := t.Tokenize("A")
	small, err2 := t.Tokenize("a")
	return err == nil && err2 == nil && slices.Equal(capital.IDs, small.IDs)
}

// minTokens is the number of tokens that t makes of an empty text, at least 1: no limit lies below.
func minTokens(t *tokenizer.Tokenizer) int {
	s := t.Special()
	return max(1, len(s.Before)+len(s.After))
}
