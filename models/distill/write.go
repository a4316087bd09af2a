package distill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/static"
)

// output is a model folder in the making: a hidden folder beside its final place, so that nobody
// ever sees half a model there.
type output struct {
	temp, final string
}

// createOutput fails early, before the long work, when the place is taken or cannot be written to.
func createOutput(final string) (*output, error) {
	entries, err := os.ReadDir(final)
	switch {
	case err == nil && len(entries) > 0:
		return nil, &fs.PathError{Op: "distill", Path: final, Err: fs.ErrExist}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if final, err = filepath.Abs(final); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(final), "."+filepath.Base(final)+".*")
	if err != nil {
		return nil, err
	}
	return &output{temp: temp, final: final}, nil
}

// discard removes what is not finished; after commit it does nothing.
func (o *output) discard() {
	if o.temp != "" {
		os.RemoveAll(o.temp)
	}
}

// commit moves the folder to its final place, where at most an empty folder may be: whatever has come
// there since stays.
func (o *output) commit() error {
	if err := os.Chmod(o.temp, 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(o.final); err == nil && !info.IsDir() {
		return &fs.PathError{Op: "distill", Path: o.final, Err: fs.ErrExist}
	}
	if err := os.Remove(o.final); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(o.temp, o.final); err != nil {
		return err
	}
	o.temp = ""
	return nil
}

func (o *output) write(name string, content func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(o.temp, name))
	if err != nil {
		return err
	}
	if err := content(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil { // a full disk may tell only now
		f.Close()
		return err
	}
	return f.Close()
}

// config is the config.json of a distilled table: what package static and model2vec read, and where
// the table comes from.
type config struct {
	ModelType     string     `json:"model_type"`
	Architectures []string   `json:"architectures"`
	HiddenDim     int        `json:"hidden_dim"`
	Normalize     bool       `json:"normalize"`
	MaxLength     int        `json:"max_length"`
	DType         string     `json:"embedding_dtype"`
	GroupSize     int        `json:"group_size"`
	Distilled     Provenance `json:"distilled"`
}

// Provenance is the part of config.json that says where a table comes from.
type Provenance struct {
	From            string `json:"from"`
	License         string `json:"license,omitempty"`
	WeightsSHA256   string `json:"weights_sha256"`
	TokenizerSHA256 string `json:"tokenizer_sha256"`
	Salads          int    `json:"salads"`
	CorpusLines     int    `json:"corpus_lines,omitempty"`
	CorpusSHA256    string `json:"corpus_sha256,omitempty"`
	Command         string `json:"command"`
}

// maxLength is what model2vec cuts texts to unless told otherwise.
const maxLength = 512

func (o *output) writeAll(t *table, tokenizer *tokenizerFile, p Provenance) error {
	rows := make([]float32, (len(tokenizer.Model.Vocab))*t.dim)
	copy(rows[len(rows)-len(t.rows):], t.rows) // the special tokens come first and have zero rows
	err := o.write("model.safetensors", func(w io.Writer) error {
		return safetensors.Write(w, static.PackInt4(rows, t.dim), nil)
	})
	if err != nil {
		return err
	}
	c := config{
		ModelType: "model2vec", Architectures: []string{"StaticModel"}, HiddenDim: t.dim,
		Normalize: true, MaxLength: maxLength, DType: "int4", GroupSize: static.Group, Distilled: p,
	}
	if err := o.write("config.json", func(w io.Writer) error { return encodeJSON(w, c, "  ") }); err != nil {
		return err
	}
	if err := o.write("tokenizer.json", func(w io.Writer) error { return encodeJSON(w, tokenizer, "") }); err != nil {
		return err
	}
	return o.write("README.md", func(w io.Writer) error {
		_, err := io.WriteString(w, card(c, len(tokenizer.Model.Vocab)))
		return err
	})
}

func encodeJSON(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}

// card is the README.md of a table.
func card(c config, tokens int) string {
	p := c.Distilled
	var b strings.Builder
	license := p.License
	if license == "" {
		license = "unknown"
	}
	fmt.Fprintf(&b, "---\nlicense: %s\nbase_model: %s\nlibrary_name: gomai\ntags: [static-embeddings, model2vec]\n---\n\n", license, p.From)
	fmt.Fprintf(&b, `# A static embedding table distilled from %[1]s

One vector of %[2]d numbers for each of %[3]d tokens of Latin script. A text's vector is the mean of
its tokens' vectors, brought to length 1: microseconds instead of milliseconds, at some loss of
quality. Word order is not seen, and text of other scripts has no vector.

- `+"`tokenizer.json`"+`: the source's WordPiece tokeniser with the vocabulary that is left.
- `+"`model.safetensors`"+`: the table, 4 bits a number. `+"`embeddings_int4`"+` (tokens, dim/2), U8: in each group
  of 16 bytes, byte j holds value j in its low and value j+16 in its high nibble, each plus 8;
  `+"`embeddings_scale`"+` (tokens, dim/32), F16: what the values of each group of 32 are multiplied by.
- `+"`config.json`"+`: the settings, and under "distilled" what is said below, for machines.

## Where it comes from

| | |
|---|---|
| source model | %[1]s |
| its licence | %[4]s |
| SHA-256 of its model.safetensors | %[5]s |
| SHA-256 of its tokenizer.json | %[6]s |
| taught with | %[7]s |
| made by | `+"`%[8]s`"+` of github.com/maida-ai/gomai |

This table is a derived work of the source model: its numbers were computed from the source model's
outputs, and its tokeniser is a part of the source's. The source's licence and notices go with it.
`, p.From, c.HiddenDim, tokens, license, p.WeightsSHA256, p.TokenizerSHA256, lessonsOf(p), p.Command)
	return b.String()
}

func lessonsOf(p Provenance) string {
	s := fmt.Sprintf("%d bags of random words", p.Salads)
	if p.CorpusLines > 0 {
		s += fmt.Sprintf(", then %d sentences (SHA-256 %s)", p.CorpusLines, p.CorpusSHA256)
	}
	return s
}
