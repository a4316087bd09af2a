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

// tokenList is a vocabulary in the order of its file. It holds no pointers to the tokens, of which
// there are many.
type tokenList struct {
	text []byte   // the tokens, one after the other
	ends []uint32 // (tokens+1,)
	ids  []int32  // (tokens,)
}

func (l *tokenList) add(token []byte, id int32) {
	if len(l.ends) == 0 {
		l.ends = append(l.ends, 0)
	}
	l.text = append(l.text, token...)
	l.ends = append(l.ends, uint32(len(l.text)))
	l.ids = append(l.ids, id)
}

func (l *tokenList) token(i int) []byte { return l.text[l.ends[i]:l.ends[i+1]] }

// parse reads an object from token to id.
func (l *tokenList) parse(r *jsonReader) error {
	rest := len(r.data) - r.pos
	*l = tokenList{
		text: make([]byte, 0, rest/2),
		ends: make([]uint32, 0, rest/12),
		ids:  make([]int32, 0, rest/12),
	}
	return r.object(func(key []byte) error {
		id, err := r.id()
		if err == nil {
			l.add(key, id)
		}
		return err
	})
}

// order sorts the tokens by id. The ids must be 0 to n-1, each of them once.
func (l *tokenList) order() error {
	n := len(l.ids)
	if n == 0 {
		return errors.New("no tokens")
	}
	sorted := true
	place := make([]int32, n) // of an id: its token's place in the file, plus 1
	for i, id := range l.ids {
		if int(id) >= n {
			return fmt.Errorf("token %q has id %d, but there are %d tokens: ids have no holes", shorten(l.token(i)), id, n)
		}
		if old := place[id]; old > 0 {
			return fmt.Errorf("tokens %q and %q have the same id %d", shorten(l.token(int(old-1))), shorten(l.token(i)), id)
		}
		place[id] = int32(i + 1)
		sorted = sorted && int(id) == i
	}
	if sorted {
		return nil
	}
	out := tokenList{
		text: make([]byte, 0, len(l.text)),
		ends: make([]uint32, 0, n+1),
		ids:  make([]int32, 0, n),
	}
	for id := range int32(n) {
		out.add(l.token(int(place[id]-1)), id)
	}
	*l = out
	return nil
}

// build makes the tokeniser, or says which field is wrong.
func (d *definition) build() (*Tokenizer, error) {
	if err := d.tokens.order(); err != nil {
		return nil, in("model.vocab", err)
	}
	if d.maxChars < 1 {
		return nil, in("model.max_input_chars_per_word", fmt.Errorf("%d: words have at least one character", d.maxChars))
	}
	t := &Tokenizer{rules: d.rules, maxChars: int(d.maxChars)}
	v := &t.vocab
	v.text, v.ends, v.prefix = string(d.tokens.text), d.tokens.ends, d.prefix
	if a, b, twice := v.index(len(d.tokens.ids)); twice {
		return nil, in("model.vocab", fmt.Errorf("token %q has two ids, %d and %d", shorten([]byte(v.token(a))), a, b))
	}
	if t.special.Unknown = v.find(d.unknown); t.special.Unknown < 0 {
		return nil, in("model.unk_token", fmt.Errorf("%q is not in the vocabulary", d.unknown))
	}
	t.fillBytes()
	if err := t.buildAdded(d.added); err != nil {
		return nil, in("added_tokens", err)
	}
	var err error
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
	var more []byte // what the added tokens add to v.text
	for i := range added {
		a := &added[i]
		id := int64(v.find(a.Content))
		if id < 0 {
			id = int64(v.size())
			more = append(more, a.Content...)
			v.ends = append(v.ends, uint32(len(v.text)+len(more)))
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
	v.text += string(more)
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
	b := make([]byte, 0, 4*len(t.vocab.ends)+len(t.vocab.text)+4096)
	b = append(b, "wordpiece 1"...)
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
