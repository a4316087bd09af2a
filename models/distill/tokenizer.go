package distill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/maida-ai/gomai/models/modelfile"
)

const (
	tokenizerName = "tokenizer.json"
	continuation  = "##"    // begins the tokens that go on with a word
	padding       = "[PAD]" // of no use here, but readers elsewhere look for it
)

// readTokenizer decodes a tokenizer.json and checks what the subset builds upon.
func readTokenizer(data []byte) (*tokenizerFile, error) {
	var f tokenizerFile
	if err := modelfile.DecodeJSON(tokenizerName, data, &f); err != nil {
		return nil, err
	}
	if f.Model.Type != "WordPiece" {
		return nil, modelfile.Errorf(tokenizerName, "model.type", "%q, only a WordPiece tokeniser can be cut down to a table's vocabulary", f.Model.Type)
	}
	if f.Model.Prefix != continuation {
		return nil, modelfile.Errorf(tokenizerName, "model.continuing_subword_prefix", "%q, %q is expected", f.Model.Prefix, continuation)
	}
	if !slices.Contains(f.Model.Vocab, f.Model.Unknown) {
		return nil, modelfile.Errorf(tokenizerName, "model.unk_token", "%q is not in the vocabulary", f.Model.Unknown)
	}
	for _, a := range f.AddedTokens {
		if a.ID < 0 || a.ID >= len(f.Model.Vocab) || f.Model.Vocab[a.ID] != a.Content {
			return nil, modelfile.Errorf(tokenizerName, "added_tokens", "%q with id %d is not in the vocabulary", a.Content, a.ID)
		}
	}
	return &f, nil
}

// special reports whether id is an added token, which text reaches only by markup, or the unknown one.
func (f *tokenizerFile) special(id int32) bool {
	return f.Model.Vocab[id] == f.Model.Unknown ||
		slices.ContainsFunc(f.AddedTokens, func(a addedToken) bool { return a.ID == int(id) })
}

// tokenizerFile is a tokenizer.json. What the table does not change is kept as it was.
type tokenizerFile struct {
	Version       json.RawMessage `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         wordPiece       `json:"model"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type wordPiece struct {
	Type     string `json:"type"`
	Unknown  string `json:"unk_token"`
	Prefix   string `json:"continuing_subword_prefix"`
	MaxChars int    `json:"max_input_chars_per_word"`
	Vocab    vocab  `json:"vocab"`
}

// vocab is the tokens in the order of their ids.
type vocab []string

func (v *vocab) UnmarshalJSON(data []byte) error {
	var ids map[string]int
	if err := json.Unmarshal(data, &ids); err != nil {
		return err
	}
	*v = make([]string, len(ids))
	taken := make([]bool, len(ids))
	for token, id := range ids {
		if id < 0 || id >= len(ids) || taken[id] {
			return fmt.Errorf("the ids of the vocabulary are not 0 to %d", len(ids)-1)
		}
		(*v)[id], taken[id] = token, true
	}
	return nil
}

func (v vocab) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for id, token := range v {
		if id > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(token); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the newline that Encode adds
		fmt.Fprintf(&b, ":%d", id)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// subset is the tokeniser of a table: the unknown and the padding token, then the tokens that have
// rows. It puts no special tokens around a text: a mean has no use for them.
func (f *tokenizerFile) subset(v *vocabulary) *tokenizerFile {
	s := *f
	null := json.RawMessage("null")
	s.Truncation, s.Padding, s.PostProcessor = null, null, null
	s.AddedTokens, s.Model.Vocab = nil, nil
	for _, token := range f.Model.Vocab {
		if token != padding && token != f.Model.Unknown {
			continue
		}
		for _, a := range f.AddedTokens {
			if a.Content == token {
				a.ID = len(s.Model.Vocab)
				s.AddedTokens = append(s.AddedTokens, a)
			}
		}
		s.Model.Vocab = append(s.Model.Vocab, token)
	}
	for _, id := range v.ids {
		s.Model.Vocab = append(s.Model.Vocab, f.Model.Vocab[id])
	}
	return &s
}
