package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// folder is a model's folder in the layout of sentence-transformers: modules.json lists what a text
// goes through, and each module has its files in a folder below. All names are paths in fsys.
type folder struct {
	fsys    fs.FS
	dir     string                   // in fsys
	file    string                   // of the weights, without a folder
	display func(name string) string // the name that stands in errors
	weights func(name string) (*safetensors.File, error)
}

// The files of a folder that are read. Only the weights, the tokeniser and, for encoders, config.json
// must be there.
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

// modules says where the parts of a model lie and which there are.
type modules struct {
	transformer string // folder of weights, configuration and tokeniser
	static      bool   // the weights are a StaticEmbedding, not a Transformer
	pooling     string // folder of the Pooling module; "" without modules.json
	normalize   bool
}

// readModules reads modules.json. Without one the folder is a transformer alone, whose hidden states
// are averaged.
func (f *folder) readModules() (modules, error) {
	var list []struct {
		Path string `json:"path"`
		Type string `json:"type"`
	}
	name := path.Join(f.dir, modulesFile)
	if err := f.optional(name, &list); err != nil {
		return modules{}, err
	}
	m := modules{transformer: f.dir}
	if len(list) == 0 {
		return m, nil
	}
	const order = "Transformer, Pooling, Normalize"
	stage := 0
	for i, part := range list {
		// The packages in front of the name changed over time.
		kind := part.Type[strings.LastIndexByte(part.Type, '.')+1:]
		field := fmt.Sprintf("module %d, %s", i, part.Type)
		dir := path.Clean(part.Path)
		if !fs.ValidPath(dir) {
			return modules{}, f.errorf(name, field, "the path %q leaves the model's folder", part.Path)
		}
		position := slices.Index([]string{"Transformer", "Pooling", "Normalize"}, kind)
		if kind == "StaticEmbedding" {
			position, m.static = 0, true
		}
		switch {
		case position < 0:
			return modules{}, f.errorf(name, field, "modules of this type are not supported, only %s are", order)
		case position < stage, i == 0 && position != 0:
			return modules{}, f.errorf(name, field, "out of order: %s is supported", order)
		}
		stage = position + 1
		switch position {
		case 0:
			m.transformer = path.Join(f.dir, dir)
		case 1:
			m.pooling = path.Join(f.dir, dir)
		case 2:
			m.normalize = true
		}
	}
	return m, nil
}

// findWeights opens the weights in dir.
func (f *folder) findWeights(dir string) (*safetensors.File, error) {
	name := path.Join(dir, f.file)
	w, err := f.weights(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return w, err
	}
	entries, dirErr := fs.ReadDir(f.fsys, dir)
	if dirErr != nil {
		return nil, f.renamed(modelfile.Wrap(dir, dirErr))
	}
	var others []string
	for _, e := range entries {
		switch path.Ext(e.Name()) {
		case ".safetensors", ".bin", ".pt", ".onnx", ".gguf", ".h5":
			others = append(others, e.Name())
		}
	}
	bad := &modelfile.Error{File: f.display(name), Offset: -1, Reason: "no weights in the folder", Err: fs.ErrNotExist}
	if len(others) > 0 {
		bad.Reason += ", and this version does not read " + strings.Join(others, ", ")
	}
	return nil, bad
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

// readPrompts reads what goes before a text in each role.
func (f *folder) readPrompts() (prompts [3]string, err error) {
	var c struct {
		Prompts map[string]*string `json:"prompts"`
		Default *string            `json:"default_prompt_name"`
	}
	name := path.Join(f.dir, promptsFile)
	if err := f.optional(name, &c); err != nil {
		return prompts, err
	}
	first := func(names ...string) string {
		for _, n := range names {
			if p := c.Prompts[n]; p != nil && *p != "" {
				return *p
			}
		}
		return ""
	}
	if c.Default != nil {
		if _, ok := c.Prompts[*c.Default]; !ok {
			return prompts, f.errorf(name, "default_prompt_name", "%q is none of the prompts", *c.Default)
		}
		prompts[roleNone] = first(*c.Default)
	}
	prompts[roleQuery] = first("query")
	// The library adds an empty "document" to every file that it saves, so an empty one says nothing.
	prompts[roleDocument] = first("document", "passage", "corpus")
	return prompts, nil
}

// readPooling reads the config.json of a Pooling module in dir, for hidden states of dim components.
// prompted says whether any text gets a prompt.
func (f *folder) readPooling(dir string, dim int, prompted bool) (pooling, error) {
	name := path.Join(dir, configFile)
	var c struct {
		Dim     *int            `json:"embedding_dimension"`
		OldDim  *int            `json:"word_embedding_dimension"` // the older spelling
		Mode    json.RawMessage `json:"pooling_mode"`             // a text or a list of texts
		Prompt  *bool           `json:"include_prompt"`
		CLS     bool            `json:"pooling_mode_cls_token"` // the older spelling of pooling_mode
		Max     bool            `json:"pooling_mode_max_tokens"`
		Mean    bool            `json:"pooling_mode_mean_tokens"`
		Sqrt    bool            `json:"pooling_mode_mean_sqrt_len_tokens"`
		Weights bool            `json:"pooling_mode_weightedmean_tokens"`
		Last    bool            `json:"pooling_mode_lasttoken"`
	}
	if err := modelfile.ReadJSON(f.fsys, name, &c); err != nil {
		return "", f.renamed(err)
	}
	for _, d := range []*int{c.Dim, c.OldDim} {
		if d != nil && *d != dim {
			return "", f.errorf(name, "embedding_dimension", "%d, but the hidden states have %d components", *d, dim)
		}
	}
	if c.Prompt != nil && !*c.Prompt && prompted {
		return "", f.errorf(name, "include_prompt", "leaving the prompt out of the pooling is not supported")
	}
	var modes []string
	if c.Mode != nil {
		var one string
		if json.Unmarshal(c.Mode, &one) == nil {
			modes = []string{one}
		} else if json.Unmarshal(c.Mode, &modes) != nil {
			return "", f.errorf(name, "pooling_mode", "neither a text nor a list of texts")
		}
	} else {
		for i, on := range []bool{c.CLS, c.Max, c.Mean, c.Sqrt, c.Weights, c.Last} {
			if on {
				modes = append(modes, []string{"cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"}[i])
			}
		}
		if modes == nil {
			modes = []string{"mean"}
		}
	}
	if len(modes) == 1 {
		switch p := pooling(modes[0]); p {
		case poolMean, poolCLS, poolMax:
			return p, nil
		}
	}
	return "", f.errorf(name, "pooling_mode", "%s is not supported, one of mean, cls and max is", strings.Join(modes, " and "))
}
