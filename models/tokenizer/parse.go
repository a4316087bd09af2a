package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// maxID leaves room for id+1 in an int32.
const maxID = math.MaxInt32 - 1

// definition is what a tokenizer.json or a vocab.txt says.
type definition struct {
	tokens   tokenList
	unknown  string
	prefix   string
	maxChars int64
	rules    rules
	added    []addedDefinition
	before   []int64
	after    []int64
}

// addedDefinition is an entry of added_tokens.
type addedDefinition struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	Lstrip     bool   `json:"lstrip"`
	Rstrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// fieldError is an error with the field it is about.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// in adds the field to an error that has none.
func in(field string, err error) error {
	if e := (*fieldError)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return &fieldError{field, err}
}

// unsupported says that a part of a tokenizer.json is of a kind that this package does not know.
func unsupported(field, kind, supported string) error {
	if kind == "" {
		kind = "none"
	}
	return in(field, fmt.Errorf("%s, where only %s is supported: %w", kind, supported, errors.ErrUnsupported))
}

// wrap makes an *Error of what went wrong in file.
func wrap(file string, err error) error {
	e := &Error{File: file, Offset: -1, Err: err}
	var field *fieldError
	if errors.As(err, &field) {
		e.Field, e.Err = field.field, field.err
	}
	var syntax *offsetError
	if errors.As(err, &syntax) {
		e.Offset = int64(syntax.pos)
	}
	return e
}

// Parse reads the content of a tokenizer.json; name is what errors call it. Padding and truncation
// recorded there are ignored.
//
// Errors: *Error with the offset or the field; errors.ErrUnsupported if the model, the normaliser, the
// splitter or the post-processor is of a kind that this package does not know.
// Cost:   a few milliseconds for 30,000 tokens.
func Parse(name string, data []byte) (*Tokenizer, error) {
	d, err := parseJSON(data)
	if err != nil {
		return nil, wrap(name, err)
	}
	t, err := d.build()
	if err != nil {
		return nil, wrap(name, err)
	}
	return t, nil
}

// checkText makes sure that data can be the text of a vocabulary.
func checkText(data []byte) error {
	if len(data) == 0 {
		return errors.New("the file is empty")
	}
	if len(data) > math.MaxInt32 {
		return fmt.Errorf("%d bytes: the limit is %d", len(data), math.MaxInt32)
	}
	if utf8.Valid(data) {
		return nil
	}
	for i := 0; ; { // to find the place
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return &offsetError{i, "not UTF-8"}
		}
		i += n
	}
}

func parseJSON(data []byte) (*definition, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	d := &definition{}
	r := &jsonReader{data: data}
	var model, normalizer, splitter bool
	err := r.object(func(key []byte) error {
		switch string(key) {
		case "model":
			model = true
			return d.parseModel(r)
		case "normalizer":
			normalizer = true
			return in("normalizer", d.parseNormalizer(r))
		case "pre_tokenizer":
			splitter = true
			return d.parseSplitter(r)
		case "post_processor":
			return in("post_processor", d.parsePostProcessor(r))
		case "added_tokens":
			return in("added_tokens", r.into(&d.added))
		}
		_, err := r.skip(0)
		return err
	})
	if err == nil {
		err = r.end()
	}
	switch {
	case err != nil:
		return nil, err
	case !model:
		return nil, in("model", errors.New("missing"))
	case !normalizer:
		return nil, in("normalizer", errors.New("missing"))
	case !splitter:
		return nil, in("pre_tokenizer", errors.New("missing"))
	}
	return d, nil
}

func (d *definition) parseModel(r *jsonReader) error {
	kind, prefix, unknown, vocab, vocabAt := "", false, false, false, -1
	text := func(v *string) error {
		b, err := r.string()
		*v = string(b)
		return err
	}
	d.maxChars = 100
	err := r.object(func(key []byte) error {
		switch string(key) {
		case "type":
			return in("model.type", text(&kind))
		case "unk_token":
			// Other kinds may have null here: the kind is checked first.
			unknown = r.peek() == '"'
			if unknown {
				return in("model.unk_token", text(&d.unknown))
			}
		case "continuing_subword_prefix":
			prefix = r.peek() == '"'
			if prefix {
				return in("model.continuing_subword_prefix", text(&d.prefix))
			}
		case "max_input_chars_per_word":
			return in("model.max_input_chars_per_word", r.into(&d.maxChars))
		case "vocab":
			// Other kinds have a vocabulary of another shape.
			if vocab = true; kind == "WordPiece" {
				return in("model.vocab", d.tokens.parse(r))
			}
			r.peek()
			vocabAt = r.pos
		}
		_, err := r.skip(0)
		return in("model", err)
	})
	switch {
	case err != nil:
		return err
	// Files of 2020 have no type; only WordPiece has a longest word.
	case kind != "WordPiece" && (kind != "" || !prefix):
		return unsupported("model.type", kind, "WordPiece")
	case !vocab:
		return in("model.vocab", errors.New("missing"))
	case !prefix:
		return in("model.continuing_subword_prefix", errors.New("missing"))
	case !unknown:
		return in("model.unk_token", errors.New("missing"))
	}
	if vocabAt >= 0 {
		end := r.pos
		r.pos = vocabAt
		err = in("model.vocab", d.tokens.parse(r))
		r.pos = end
	}
	return err
}

func (d *definition) parseNormalizer(r *jsonReader) error {
	var n struct {
		Type         string `json:"type"`
		CleanText    *bool  `json:"clean_text"`
		ChineseChars *bool  `json:"handle_chinese_chars"`
		StripAccents *bool  `json:"strip_accents"`
		Lowercase    *bool  `json:"lowercase"`
	}
	if err := r.into(&n); err != nil {
		return err
	}
	if n.Type != "BertNormalizer" {
		return unsupported("normalizer.type", n.Type, "BertNormalizer")
	}
	for name, flag := range map[string]struct{ from, to *bool }{
		"clean_text":           {n.CleanText, &d.rules.cleanText},
		"handle_chinese_chars": {n.ChineseChars, &d.rules.chineseChars},
		"lowercase":            {n.Lowercase, &d.rules.lowercase},
	} {
		if flag.from == nil {
			return in("normalizer."+name, errors.New("missing"))
		}
		*flag.to = *flag.from
	}
	d.rules.stripAccents = d.rules.lowercase
	if n.StripAccents != nil {
		d.rules.stripAccents = *n.StripAccents
	}
	return nil
}

func (d *definition) parseSplitter(r *jsonReader) error {
	var p struct{ Type string }
	if err := r.into(&p); err != nil {
		return in("pre_tokenizer", err)
	}
	if p.Type != "BertPreTokenizer" {
		return unsupported("pre_tokenizer.type", p.Type, "BertPreTokenizer")
	}
	return nil
}

// piece is an entry of a template: a special token or the place of the text.
type piece struct {
	SpecialToken *struct{ ID string }
	Sequence     *struct{ ID string }
}

// tokenAndID is written as ["[CLS]", 101].
type tokenAndID struct {
	token string
	id    int64
}

func (p *tokenAndID) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&p.token, &p.id})
}

func (d *definition) parsePostProcessor(r *jsonReader) error {
	if r.peek() == 'n' {
		_, err := r.skip(0)
		return err
	}
	var p struct {
		Type    string                           `json:"type"`
		Single  []piece                          `json:"single"`
		Special map[string]struct{ IDs []int64 } `json:"special_tokens"`
		CLS     tokenAndID                       `json:"cls"`
		SEP     tokenAndID                       `json:"sep"`
	}
	if err := r.into(&p); err != nil {
		return err
	}
	switch p.Type {
	case "BertProcessing":
		if p.CLS.token == "" || p.SEP.token == "" {
			return errors.New("cls or sep is missing")
		}
		d.before, d.after = []int64{p.CLS.id}, []int64{p.SEP.id}
		return nil
	case "TemplateProcessing":
		ids := &d.before
		texts := 0
		for _, entry := range p.Single {
			switch {
			case entry.Sequence != nil:
				texts++
				ids = &d.after
			case entry.SpecialToken != nil:
				token, ok := p.Special[entry.SpecialToken.ID]
				if !ok {
					return in("post_processor.special_tokens", fmt.Errorf("%q is missing", entry.SpecialToken.ID))
				}
				*ids = append(*ids, token.IDs...)
			}
		}
		if texts != 1 {
			return in("post_processor.single", fmt.Errorf("the text occurs %d times in the template, not once", texts))
		}
		return nil
	}
	return unsupported("post_processor.type", p.Type, "TemplateProcessing and BertProcessing")
}
