// Package tokenizer splits text into the ids of a model's vocabulary, as the reference tokenizers
// library does: the same ids and, in bytes, the same offsets.
//
// It reads a tokenizer.json or a vocab.txt of the WordPiece kind with BERT's normaliser and splitter.
// The way of a text: added tokens such as [MASK] are cut out (added.go), what lies between them is
// normalised and split into words (normalize.go), each word becomes pieces (wordpiece.go). Plain ASCII
// words take a shorter way to the same pieces.
//
// Nothing here knows models, weights or tensors, and nothing touches the network.
package tokenizer

import (
	"fmt"
	"math"

	"github.com/maida-ai/gomai/types"
)

// Tokenizer splits text by one vocabulary. It is immutable and safe for concurrent use.
type Tokenizer struct {
	vocab    vocabulary
	rules    rules
	maxChars int // longer words are unknown as a whole

	raw        addedSet // matched in the text as it is
	normalized addedSet // matched in the normalised text

	special Special
	id      types.VocabID

	lower [256]byte // the normalised form of an ASCII byte that can be part of a word, else 0
	kind  [256]kind
	free  freeList
}

var _ types.Tokenizer = (*Tokenizer)(nil)

// kind is what a byte does to a word that is pure ASCII so far.
type kind uint8

const (
	inWord kind = iota
	blank
	symbol
	other // the byte needs the general way: not ASCII, a control character
)

// Special holds the ids with a role. The slices may not be changed.
type Special struct {
	Before  []int32 // put before every text: [CLS]
	After   []int32 // put behind every text: [SEP]
	Unknown int32   // [UNK]
	Pad     int32   // [PAD]; -1 if the vocabulary has none
}

// Special returns the ids with a role.
func (t *Tokenizer) Special() Special { return t.special }

// Vocab names the vocabulary and the rules: a hash over everything that influences ids.
func (t *Tokenizer) Vocab() types.VocabID { return t.id }

// Size is the number of ids; they run from 0 to Size-1.
func (t *Tokenizer) Size() int { return t.vocab.size() }

// Token returns the token of an id, "" for an id outside the vocabulary.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= t.vocab.size() {
		return ""
	}
	return t.vocab.token(id)
}

// ID returns the id of a token.
func (t *Tokenizer) ID(token string) (int32, bool) {
	if id := t.vocab.find(token); id >= 0 {
		return id, true
	}
	for _, set := range []*addedSet{&t.raw, &t.normalized} {
		for i := range set.tokens {
			if id := set.tokens[i].id; t.vocab.token(id) == token {
				return id, true
			}
		}
	}
	return -1, false
}

// AppendSpecial appends ids to dst with the special tokens of a text round them.
func (t *Tokenizer) AppendSpecial(dst, ids []int32) []int32 {
	dst = append(dst, t.special.Before...)
	dst = append(dst, ids...)
	return append(dst, t.special.After...)
}

// Tokenize returns the tokens of text in fresh memory. See TokenizeInto.
func (t *Tokenizer) Tokenize(text string) (types.TokenizedText, error) {
	var out types.TokenizedText
	err := t.TokenizeInto(text, &out)
	return out, err
}

// TokenizeInto fills dst with the tokens of text, special tokens included, never truncated.
//
// Ill-formed UTF-8 is read as one U+FFFD per maximal subpart and counted in dst.Invalid; offsets are
// bytes of text as it was passed. No part of text is kept: callers may lend memory that they reuse.
//
// Errors: *Error if text has 2 GiB or more; dst is then unchanged.
// Cost:   linear in len(text); no allocation once dst has the capacity.
func (t *Tokenizer) TokenizeInto(text string, dst *types.TokenizedText) error {
	if err := checkLength(len(text)); err != nil {
		return err
	}
	s := t.free.get()
	s.t, s.text = t, text
	s.ids, s.offsets = dst.IDs[:0], dst.Offsets[:0]
	for _, id := range t.special.Before {
		s.emit(id, 0, 0)
	}
	s.segments()
	for _, id := range t.special.After {
		s.emit(id, 0, 0)
	}
	dst.IDs, dst.Offsets = s.ids, s.offsets
	dst.Invalid, dst.Vocab, dst.Known = s.invalid, t.id, 1
	counted := len(s.ids) - len(t.special.Before) - len(t.special.After) - s.aside
	if counted > 0 {
		dst.Known = float32(counted-s.unknown) / float32(counted)
	}
	t.free.put(s)
	return nil
}

// checkLength makes sure that offsets fit.
func checkLength(n int) error {
	if n <= math.MaxInt32 {
		return nil
	}
	return &Error{Offset: -1, Err: fmt.Errorf("a text of %d bytes: the limit is %d", n, math.MaxInt32)}
}

// segments splits the text at its added tokens and tokenises what lies between them.
func (s *state) segments() {
	set := &s.t.raw
	m := matcher{set: set, text: s.text}
	from := 0
	for m.next() {
		if from < m.start {
			s.segment(from, m.start)
		}
		s.added(m.token, int32(m.start), int32(m.end))
		from = m.end
	}
	if from < len(s.text) {
		s.segment(from, len(s.text))
	}
}

func (s *state) segment(from, to int) {
	if len(s.t.normalized.tokens) == 0 {
		s.words(from, to)
		return
	}
	s.normalizedSegment(from, to)
}

// added emits a token that was found in the text as a whole.
func (s *state) added(token *addedToken, start, end int32) {
	s.emit(token.id, start, end)
	switch {
	case token.id == s.t.special.Unknown:
		s.unknown++
	case token.special:
		s.aside++
	}
}

// words tokenises text[from:to]. Words that are pure ASCII are looked up as they are read; anything
// else goes through the general way.
func (s *state) words(from, to int) {
	t, text := s.t, s.text
	v := &t.vocab
	for i := from; i < to; {
		low := t.lower[text[i]]
		if low == 0 {
			switch t.kind[text[i]] {
			case blank:
				i++
			case symbol:
				s.whole(v.ascii[text[i]&0x7f], int32(i), int32(i+1))
				i++
			default:
				i = s.general(i, to)
			}
			continue
		}
		start, n, h := i, 0, uint64(hashSeed)
		for low != 0 && n < len(s.short) {
			s.short[n] = low
			h = h*v.base + uint64(low)
			n++
			if i++; i == to {
				break
			}
			low = t.lower[text[i]]
		}
		if i < to && t.kind[text[i]] != blank && t.kind[text[i]] != symbol {
			i = s.general(start, to)
			continue
		}
		if n > t.maxChars {
			s.whole(-1, int32(start), int32(i))
		} else if id := v.lookup(h, s.short[:n], 0); id >= 0 {
			s.emit(id, int32(start), int32(i))
		} else {
			s.pieces(s.short[:n], nil, int32(start))
		}
	}
}
