package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The files of a tokeniser.
const (
	jsonFile   = "tokenizer.json"
	vocabFile  = "vocab.txt"
	configFile = "tokenizer_config.json"
)

// maxFile is the size of the largest file that is read. The vocabularies of multilingual encoders
// take 20 MB.
const maxFile = 256 << 20

// Open reads a tokeniser from a folder (see OpenFS), a tokenizer.json, or a vocab.txt.
func Open(name string) (*Tokenizer, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, wrap(name, cause(err))
	}
	if info.IsDir() {
		return source{os.DirFS(name), name}.folder(".")
	}
	dir, file := filepath.Split(name)
	if dir == "" {
		dir = "."
	}
	s := source{os.DirFS(dir), dir}
	if strings.EqualFold(filepath.Ext(file), ".json") {
		return s.json(file)
	}
	return s.vocab(file)
}

// OpenFS reads a tokeniser from a folder: tokenizer.json, else vocab.txt with the switches of
// tokenizer_config.json, if there is one.
//
// Errors: *Error that names the file and the offset or field; errors.Is finds fs.ErrNotExist and
// errors.ErrUnsupported.
func OpenFS(fsys fs.FS, dir string) (*Tokenizer, error) {
	return source{fsys, ""}.folder(dir)
}

// source is where files come from; root is put before their names in errors.
type source struct {
	fsys fs.FS
	root string
}

func (s source) name(file string) string {
	if s.root == "" {
		return file
	}
	return filepath.Join(s.root, file)
}

// read returns the content of a file.
func (s source) read(file string) ([]byte, error) {
	info, err := fs.Stat(s.fsys, file)
	if err != nil {
		return nil, wrap(s.name(file), cause(err))
	}
	switch {
	case info.IsDir():
		return nil, wrap(s.name(file), errors.New("a folder, not a file"))
	case info.Size() > maxFile:
		return nil, wrap(s.name(file), fmt.Errorf("%d bytes: the limit is %d", info.Size(), maxFile))
	}
	data, err := fs.ReadFile(s.fsys, file)
	if err != nil {
		return nil, wrap(s.name(file), cause(err))
	}
	return data, nil
}

// cause takes the file's name out of an error, which *Error gives.
func cause(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (s source) folder(dir string) (*Tokenizer, error) {
	t, err := s.json(path.Join(dir, jsonFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	t, err = s.vocab(path.Join(dir, vocabFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, wrap(s.name(dir), fmt.Errorf("neither %s nor %s: %w", jsonFile, vocabFile, fs.ErrNotExist))
	}
	return t, err
}

func (s source) json(file string) (*Tokenizer, error) {
	data, err := s.read(file)
	if err != nil {
		return nil, err
	}
	return Parse(s.name(file), data)
}

// vocab reads a vocab.txt, one token a line, and the tokenizer_config.json beside it.
func (s source) vocab(file string) (*Tokenizer, error) {
	data, err := s.read(file)
	if err != nil {
		return nil, err
	}
	d, err := parseVocab(data)
	if err != nil {
		return nil, wrap(s.name(file), err)
	}
	config := path.Join(path.Dir(file), configFile)
	if data, err = s.read(config); err == nil {
		if err := d.configure(data); err != nil {
			return nil, wrap(s.name(config), err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t, err := d.build()
	if err != nil {
		return nil, wrap(s.name(file), err)
	}
	return t, nil
}

// parseVocab reads a vocab.txt. It says nothing but the tokens; the rest is BERT's, uncased.
func parseVocab(data []byte) (*definition, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	d := &definition{
		unknown: "[UNK]", prefix: "##", maxChars: 100,
		rules: rules{cleanText: true, chineseChars: true, stripAccents: true, lowercase: true},
	}
	ids := map[string]int64{"[PAD]": -1, "[UNK]": -1, "[CLS]": -1, "[SEP]": -1, "[MASK]": -1}
	for line := range bytes.Lines(bytes.TrimRight(data, "\r\n")) {
		token := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		id := len(d.tokens.ids)
		if _, ok := ids[string(token)]; ok {
			ids[string(token)] = int64(id)
		}
		d.tokens.add(token, int32(id))
	}
	for _, content := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		if id := ids[content]; id >= 0 {
			d.added = append(d.added, addedDefinition{ID: id, Content: content, Special: true})
		}
	}
	for _, content := range []string{"[CLS]", "[SEP]"} {
		if ids[content] < 0 {
			return nil, fmt.Errorf("token %q is missing", content)
		}
	}
	d.before, d.after = []int64{ids["[CLS]"]}, []int64{ids["[SEP]"]}
	return d, nil
}

// configure takes the switches of a tokenizer_config.json.
func (d *definition) configure(data []byte) error {
	if err := checkText(data); err != nil {
		return err
	}
	var c struct {
		DoLowerCase     *bool `json:"do_lower_case"`
		StripAccents    *bool `json:"strip_accents"`
		TokenizeChinese *bool `json:"tokenize_chinese_chars"`
	}
	r := &jsonReader{data: data}
	if err := r.into(&c); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return err
	}
	if c.DoLowerCase != nil {
		d.rules.lowercase, d.rules.stripAccents = *c.DoLowerCase, *c.DoLowerCase
	}
	if c.StripAccents != nil {
		d.rules.stripAccents = *c.StripAccents
	}
	if c.TokenizeChinese != nil {
		d.rules.chineseChars = *c.TokenizeChinese
	}
	return nil
}
