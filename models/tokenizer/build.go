package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/maida-ai/gomai/types"
)

// tokenList is a vocabulary as a file lists it: in any order, its tokens still in the file's memory.
type tokenList struct {
	tokens [][]byte
	ids    []int32
	bytes  int
}

func (l *tokenList) add(token []byte, id int32) {
	l.tokens = append(l.tokens, token)
	l.ids = append(l.ids, id)
	l.bytes += len(token)
}

// parse reads an object from token to id.
func (l *tokenList) parse(r *jsonReader) error {
	*l = tokenList{}
	// At least `"":0,` each, in practice three times as long.
	l.tokens = make([][]byte, 0, (len(r.data)-r.pos)/16)
	l.ids = make([]int32, 0, cap(l.tokens))
	return r.object(func(key []byte) error {
		id, err := r.id()
		if err == nil {
			l.add(key, id)
		}
		return err
	})
}

// ordered returns the tokens by id. The ids must be 0 to n-1, each of them once.
func (l *tokenList) ordered() ([][]byte, error) {
	n := len(l.tokens)
	if n == 0 {
		return nil, errors.New("no tokens")
	}
	byID := make([][]byte, n)
	for i, id := range l.ids {
		token := l.tokens[i]
		if token == nil {
			token = []byte{}
		}
		if int(id) >= n {
			return nil, fmt.Errorf("token %q has id %d, but there are %d tokens: ids have no holes", shorten(token), id, n)
		}
		if byID[id] != nil {
			return nil, fmt.Errorf("tokens %q and %q have the same id %d", shorten(byID[id]), shorten(token), id)
		}
		byID[id] = token
	}
	return byID, nil
}

// build makes the tokeniser, or says which field is wrong.
func (d *definition) build() (*Tokenizer, error) {
	byID, err := d.tokens.ordered()
	if err != nil {
		return nil, in("model.vocab", err)
	}
	model := len(byID)
	t := &Tokenizer{rules: d.rules, maxChars: int(d.maxChars)}
	if d.maxChars < 1 {
		return nil, in("model.max_input_chars_per_word", fmt.Errorf("%d: words have at least one character", d.maxChars))
	}
	text := make([]byte, 0, d.tokens.bytes)
	ends := make([]uint32, 1, model+len(d.added)+1)
	for _, token := range byID {
		text = append(text, token...)
		ends = append(ends, uint32(len(text)))
	}
	v := &t.vocab
	v.text, v.ends, v.prefix = string(text), ends, d.prefix
	if a, b, twice := v.index(model); twice {
		return nil, in("model.vocab", fmt.Errorf("token %q has two ids, %d and %d", shorten(byID[a]), a, b))
	}
	if t.special.Unknown = v.find(d.unknown); t.special.Unknown < 0 {
		return nil, in("model.unk_token", fmt.Errorf("%q is not in the vocabulary", d.unknown))
	}
	t.fillBytes()
	if err := t.buildAdded(d.added); err != nil {
		return nil, in("added_tokens", err)
	}
	if t.special.Before, err = t.checkIDs(d.before); err == nil {
		t.special.After, err = t.checkIDs(d.after)
	}
	if err != nil {
		return nil, in("post_processor", err)
	}
	t.special.Pad = -1
	if id, ok := t.ID("[PAD]"); ok {
		t.special.Pad = id
	}
	t.id = t.fingerprint()
	return t, nil
}

func (t *Tokenizer) checkIDs(ids []int64) ([]int32, error) {
	var out []int32
	for _, id := range ids {
		if id < 0 || id >= int64(t.Size()) {
			return nil, fmt.Errorf("id %d is outside the vocabulary of %d tokens", id, t.Size())
		}
		out = append(out, int32(id))
	}
	return out, nil
}

// fillBytes works out what the rules make of each ASCII byte.
func (t *Tokenizer) fillBytes() {
	for c := range t.kind {
		if c >= utf8.RuneSelf {
			t.kind[c] = other
			continue
		}
		rec := recordFor(rune(c))
		switch {
		case t.rules.cleanText && rec.flags&isControl != 0, c == 0:
			t.kind[c] = other
		case rec.flags&isSpace != 0:
			t.kind[c] = blank
		case rec.flags&isPunct != 0:
			t.kind[c] = symbol
		case t.rules.lowercase:
			t.lower[c] = byte(int32(c) + rec.lower)
		default:
			t.lower[c] = byte(c)
		}
	}
}

// buildAdded takes in the added tokens. One that the vocabulary lacks gets the next id, as in the
// reference; the file must say the same.
func (t *Tokenizer) buildAdded(added []addedDefinition) error {
	v := &t.vocab
	seen := map[string]bool{}
	for i := range added {
		a := &added[i]
		id := int64(v.find(a.Content))
		if id < 0 {
			id = int64(v.size())
			v.text += a.Content
			v.ends = append(v.ends, uint32(len(v.text)))
		}
		switch {
		case a.Content == "":
			return errors.New("a token without content")
		case seen[a.Content]:
			return fmt.Errorf("token %q occurs twice", a.Content)
		case a.ID != id:
			return fmt.Errorf("token %q has id %d where %d should be", a.Content, a.ID, id)
		case !a.Normalized && strings.ContainsRune(a.Content, utf8.RuneError):
			return fmt.Errorf("token %q: U+FFFD also stands for broken text", a.Content)
		}
		seen[a.Content] = true
	}
	var raw, normalized []addedToken
	// Where two become the same once normalised, special ones win, then the order of the file.
	for _, special := range []bool{true, false} {
		for i := range added {
			a := &added[i]
			if a.Special != special {
				continue
			}
			token := addedToken{a.Content, int32(a.ID), a.Special, a.SingleWord, a.Lstrip, a.Rstrip}
			if !a.Normalized {
				raw = append(raw, token)
				continue
			}
			s := &state{t: t, text: a.Content}
			token.content = strings.Clone(s.normalize(0, len(a.Content)))
			if token.content == "" {
				return fmt.Errorf("token %q: nothing is left of it once it is normalised", a.Content)
			}
			normalized = append(normalized, token)
		}
	}
	t.raw, t.normalized = newAddedSet(raw), newAddedSet(normalized)
	return nil
}

// fingerprint hashes everything that influences ids.
func (t *Tokenizer) fingerprint() types.VocabID {
	b := []byte("wordpiece 1")
	number := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	text := func(s string) { number(len(s)); b = append(b, s...) }
	flags := func(on ...bool) {
		for _, f := range on {
			if f {
				number(1)
			} else {
				number(0)
			}
		}
	}
	ids := func(ids []int32) {
		number(len(ids))
		for _, id := range ids {
			number(int(id))
		}
	}
	flags(t.rules.cleanText, t.rules.chineseChars, t.rules.stripAccents, t.rules.lowercase)
	number(t.maxChars)
	text(t.vocab.prefix)
	number(int(t.special.Unknown))
	ids(t.special.Before)
	ids(t.special.After)
	for _, set := range []*addedSet{&t.raw, &t.normalized} {
		number(len(set.tokens))
		for _, token := range set.tokens {
			text(token.content)
			number(int(token.id))
			flags(token.singleWord, token.lstrip, token.rstrip)
		}
	}
	number(t.vocab.size())
	for _, end := range t.vocab.ends {
		number(int(end))
	}
	b = append(b, t.vocab.text...)
	sum := sha256.Sum256(b)
	return types.VocabID("wordpiece-" + hex.EncodeToString(sum[:16]))
}
