package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// addedToken is a token that is found in the text before it is split into words.
type addedToken struct {
	content    string // what is looked for: in a normalised set, the normalised token
	id         int32
	special    bool
	singleWord bool // not inside a word
	lstrip     bool // takes the white space on its left
	rstrip     bool // takes the white space on its right
}

// addedSet finds added tokens.
type addedSet struct {
	tokens []addedToken // by content
	first  [256]bool    // the bytes that contents begin with
	only   int          // the byte, if there is one only; else -1
}

// newAddedSet sorts tokens. Of several with the same content the first one stays.
func newAddedSet(tokens []addedToken) addedSet {
	slices.SortStableFunc(tokens, func(a, b addedToken) int { return cmp.Compare(a.content, b.content) })
	tokens = slices.CompactFunc(tokens, func(a, b addedToken) bool { return a.content == b.content })
	set := addedSet{tokens: tokens, only: -1}
	for i := range tokens {
		c := tokens[i].content[0]
		set.first[c] = true
		if i == 0 || set.only == int(c) {
			set.only = int(c)
		} else {
			set.only = -1
		}
	}
	return set
}

// longest returns the longest token that text begins with, or nil.
func (set *addedSet) longest(text string) *addedToken {
	var found *addedToken
	low, high := 0, len(set.tokens)
	for n := 0; low < high; n++ {
		if len(set.tokens[low].content) == n { // sorts before all that go on
			found = &set.tokens[low]
			low++
		}
		if n == len(text) {
			break
		}
		c := text[n]
		low += searchByte(set.tokens[low:high], n, c)
		high = low + searchByteAfter(set.tokens[low:high], n, c)
	}
	return found
}

// searchByte counts the tokens whose byte n is below c; all of them are longer than n.
func searchByte(tokens []addedToken, n int, c byte) int {
	i, _ := slices.BinarySearchFunc(tokens, c, func(t addedToken, c byte) int { return cmp.Compare(t.content[n], c) })
	return i
}

// searchByteAfter counts the tokens whose byte n is c; none is below it.
func searchByteAfter(tokens []addedToken, n int, c byte) int {
	i, _ := slices.BinarySearchFunc(tokens, c, func(t addedToken, c byte) int {
		if t.content[n] <= c {
			return -1
		}
		return 1
	})
	return i
}

// matcher finds the added tokens of a text from left to right; at one place the longest wins.
type matcher struct {
	set        *addedSet
	text       string
	at         int // where the search goes on
	floor      int // the end of the previous match, with the white space it took
	token      *addedToken
	start, end int
}

func (m *matcher) next() bool {
	for len(m.set.tokens) > 0 && m.at < len(m.text) {
		if !m.skip() {
			return false
		}
		token := m.set.longest(m.text[m.at:])
		if token == nil {
			m.at++
			continue
		}
		start, end := m.at, m.at+len(token.content)
		m.at = end
		if token.singleWord && (endsWithWord(m.text[:start]) || beginsWithWord(m.text[end:])) {
			continue
		}
		if token.lstrip {
			start = max(m.floor, start-spaceBefore(m.text[:start]))
		}
		if token.rstrip {
			end += spaceAfter(m.text[end:])
		}
		m.token, m.start, m.end, m.floor = token, start, end, end
		return true
	}
	return false
}

// skip moves to the next byte that may begin a token.
func (m *matcher) skip() bool {
	if m.set.only >= 0 {
		i := strings.IndexByte(m.text[m.at:], byte(m.set.only))
		m.at += max(i, 0)
		return i >= 0
	}
	for ; m.at < len(m.text); m.at++ {
		if m.set.first[m.text[m.at]] {
			return true
		}
	}
	return false
}

func beginsWithWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && recordFor(r).flags&isWord != 0
}

func endsWithWord(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && recordFor(r).flags&isWord != 0
}

// spaceBefore returns the length of the white space at the end of s.
func spaceBefore(s string) int {
	end := len(s)
	for end > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:end])
		if recordFor(r).flags&isSpace == 0 {
			break
		}
		end -= n
	}
	return len(s) - end
}

// spaceAfter returns the length of the white space at the start of s.
func spaceAfter(s string) int {
	start := 0
	for start < len(s) {
		r, n := utf8.DecodeRuneInString(s[start:])
		if recordFor(r).flags&isSpace == 0 {
			break
		}
		start += n
	}
	return start
}

// normalizedSegment tokenises text[from:to] when there are added tokens to find in normalised text:
// all of the segment is normalised first.
func (s *state) normalizedSegment(from, to int) {
	norm := s.normalize(from, to)
	m := matcher{set: &s.t.normalized, text: norm}
	at := 0
	for m.next() {
		s.normalizedWords(norm, at, m.start)
		s.added(m.token, s.normSpans[m.start].Start, s.normSpans[m.end-1].End)
		at = m.end
	}
	s.normalizedWords(norm, at, len(norm))
}

// normalize returns text[from:to] normalised, valid until the next call.
func (s *state) normalize(from, to int) string {
	s.norm, s.normSpans, s.collect = s.norm[:0], s.normSpans[:0], true
	for i := from; i < to; {
		i = s.step(i, to)
	}
	s.endRun()
	s.collect = false
	return unsafe.String(unsafe.SliceData(s.norm), len(s.norm))
}

// normalizedWords tokenises norm[from:to], which has been normalised.
func (s *state) normalizedWords(norm string, from, to int) {
	for i := from; i < to; {
		r, n := utf8.DecodeRuneInString(norm[i:])
		s.put(r, recordFor(r).flags, s.normSpans[i])
		i += n
	}
	s.endWord()
}
