package tokenizer

import (
	"unicode/utf8"

	"github.com/maida-ai/gomai/types"
)

// rules are the switches of BERT's normaliser.
type rules struct {
	cleanText    bool // drop control characters, make white space a blank
	chineseChars bool // put blanks round CJK ideographs
	stripAccents bool // decompose canonically and drop nonspacing marks
	lowercase    bool
}

// record says what happens to a code point.
type record struct {
	lower int32  // the lowercase letter, minus the letter
	nfd   uint16 // its canonical decomposition: decomposed[nfd:nfd+size]
	size  uint8  // 0: it does not decompose
	flags uint8
	class uint8 // canonical combining class
}

const (
	isControl uint8 = 1 << iota // dropped by cleanText
	isSpace
	isPunct
	isMark // dropped by stripAccents
	isHan
	isWord // \w of the reference's regular expressions
	isHangul
)

// recordFor returns the record of r, which is a valid code point.
func recordFor(r rune) *record {
	block := int(blockOf[r/blockSize]) * blockSize
	return &records[recordOf[block+int(r%blockSize)]]
}

// mark is a character on its way through canonical ordering.
type mark struct {
	r     rune
	class uint8
	first bool // the first character of a decomposition; the others share its span
}

// general takes text[from:to] through the normaliser and into words. It stops before an ASCII blank
// or symbol, where words can go on, and returns that index.
func (s *state) general(from, to int) int {
	i := from
	for i < to {
		if k := s.t.kind[s.text[i]]; k == blank || k == symbol {
			break
		}
		i = s.step(i, to)
	}
	s.endRun()
	s.endWord()
	return i
}

// step reads the character at text[i], normalises it and returns the index behind it.
func (s *state) step(i, to int) int {
	if low := s.t.lower[s.text[i]]; low != 0 { // ASCII: nothing to look up
		s.endRun()
		s.prev = types.Offset{Start: int32(i), End: int32(i + 1)}
		s.put(rune(low), isWord, s.prev)
		return i + 1
	}
	r, n := utf8.DecodeRuneInString(s.text[i:to])
	if r == utf8.RuneError && n <= 1 {
		n = subpart(s.text[i:to])
		s.invalid++
	}
	s.char(r, types.Offset{Start: int32(i), End: int32(i + n)})
	return i + n
}

// subpart returns the length of the maximal subpart of an ill-formed sequence that text begins with:
// the longest beginning of a well-formed sequence, at least one byte (Unicode 3.9, U+FFFD
// substitution).
func subpart(text string) int {
	var size int
	low, high := byte(0x80), byte(0xBF)
	switch c := text[0]; {
	case 0xC2 <= c && c <= 0xDF:
		size = 2
	case 0xE0 <= c && c <= 0xEF:
		size = 3
		if c == 0xE0 {
			low = 0xA0
		} else if c == 0xED {
			high = 0x9F
		}
	case 0xF0 <= c && c <= 0xF4:
		size = 4
		if c == 0xF0 {
			low = 0x90
		} else if c == 0xF4 {
			high = 0x8F
		}
	}
	n := 1
	for n < size && n < len(text) && low <= text[n] && text[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}

// char normalises one character of the text.
func (s *state) char(r rune, span types.Offset) {
	rules := &s.t.rules
	rec := recordFor(r)
	if rules.cleanText {
		if rec.flags&isControl != 0 {
			return
		}
		if rec.flags&isSpace != 0 {
			r, rec = ' ', recordFor(' ')
		}
	}
	han := rules.chineseChars && rec.flags&isHan != 0
	if han {
		s.blank(span)
	}
	if rules.stripAccents {
		s.decompose(r, rec, span)
	} else {
		s.lowered(r, rec, span)
	}
	if han {
		s.blank(span)
	}
}

// blank puts a blank that the text does not have.
func (s *state) blank(span types.Offset) {
	s.endRun()
	s.put(' ', isSpace, span)
}

// decompose puts the canonical decomposition of r.
func (s *state) decompose(r rune, rec *record, span types.Offset) {
	switch {
	case rec.flags&isHangul != 0:
		const firstL, firstV, beforeT, vCount, tCount = 0x1100, 0x1161, 0x11A7, 21, 28
		r -= 0xAC00
		s.ordered(firstL+r/(vCount*tCount), true, span)
		s.ordered(firstV+r/tCount%vCount, false, span)
		if r%tCount > 0 {
			s.ordered(beforeT+r%tCount, false, span)
		}
	case rec.size > 0:
		for i, d := range decomposed[rec.nfd : rec.nfd+uint16(rec.size)] {
			s.ordered(d, i == 0, span)
		}
	default:
		s.orderedRecord(r, rec, true, span)
	}
}

func (s *state) ordered(r rune, first bool, span types.Offset) {
	s.orderedRecord(r, recordFor(r), first, span)
}

// orderedRecord puts a decomposed character in canonical order: a run of characters with a combining
// class waits until it ends. The reference gives the characters of a run the spans of the run in
// text order, so a character that moved has the span of its new place.
func (s *state) orderedRecord(r rune, rec *record, first bool, span types.Offset) {
	if rec.class == 0 {
		s.endRun()
		if first {
			s.prev = span
		}
		if rec.flags&isMark == 0 {
			s.lowered(r, rec, s.prev)
		}
		return
	}
	s.run = append(s.run, mark{r, rec.class, first})
	if first {
		s.runSpans = append(s.runSpans, span)
	}
	if rec.flags&isMark == 0 {
		s.keep++
	}
}

// endRun puts the run in canonical order. Nearly always all of it is dropped.
func (s *state) endRun() {
	if len(s.run) == 0 {
		return
	}
	if s.keep == 0 {
		if n := len(s.runSpans); n > 0 {
			s.prev = s.runSpans[n-1]
		}
	} else {
		s.sortRun()
		next := 0
		for _, m := range s.sorted {
			if m.first {
				s.prev = s.runSpans[next]
				next++
			}
			if rec := recordFor(m.r); rec.flags&isMark == 0 {
				s.lowered(m.r, rec, s.prev)
			}
		}
	}
	s.run, s.runSpans, s.keep = s.run[:0], s.runSpans[:0], 0
}

// sortRun fills sorted with the run by combining class, equal ones in text order. Counting keeps the
// time linear for runs of any length.
func (s *state) sortRun() {
	var place [256]int
	for _, m := range s.run {
		place[m.class]++
	}
	sum := 0
	for c, n := range place {
		place[c], sum = sum, sum+n
	}
	s.sorted = append(s.sorted[:0], s.run...)
	for _, m := range s.run {
		s.sorted[place[m.class]] = m
		place[m.class]++
	}
}

// lowered puts a character, in lowercase if the rules say so.
func (s *state) lowered(r rune, rec *record, span types.Offset) {
	switch {
	case !s.t.rules.lowercase:
		s.put(r, rec.flags, span)
	case r == 'İ': // the only code point whose lowercase has two characters
		s.put('i', isWord, span)
		s.put('\u0307', isMark|isWord, span)
	default:
		s.put(r+rec.lower, rec.flags, span)
	}
}

// put appends a normalised character to the word, which it may end.
func (s *state) put(r rune, flags uint8, span types.Offset) {
	if s.collect {
		s.norm = utf8.AppendRune(s.norm, r)
		s.normSpans = fill(s.normSpans, len(s.norm), span)
		return
	}
	switch {
	case flags&isSpace != 0:
		s.endWord()
	case flags&isPunct != 0:
		s.endWord()
		s.grow(r, span)
		s.endWord()
	default:
		s.grow(r, span)
	}
}

// grow adds a character to the word. A word that is too long is unknown anyway, so its rest is only
// counted.
func (s *state) grow(r rune, span types.Offset) {
	s.chars++
	s.wordEnd = span.End
	if s.chars <= s.t.maxChars || s.chars == 1 {
		s.word = utf8.AppendRune(s.word, r)
		s.spans = fill(s.spans, len(s.word), span)
	}
}

// fill appends span until there are n.
func fill(spans []types.Offset, n int, span types.Offset) []types.Offset {
	for len(spans) < n {
		spans = append(spans, span)
	}
	return spans
}

// endWord emits the word as tokens.
func (s *state) endWord() {
	if s.chars == 0 {
		return
	}
	v := &s.t.vocab
	start := s.spans[0].Start
	if s.chars > s.t.maxChars {
		s.whole(-1, start, s.wordEnd)
	} else if id := v.lookup(v.hash(hashSeed, s.word), s.word, 0); id >= 0 {
		s.emit(id, start, s.wordEnd)
	} else {
		s.pieces(s.word, s.spans, 0)
	}
	s.word, s.spans, s.chars = s.word[:0], s.spans[:0], 0
}
