package tokenizer

import (
	"sync/atomic"

	"github.com/maida-ai/gomai/types"
)

// state is the working memory of one call. It is kept for later calls.
type state struct {
	t    *Tokenizer
	text string

	ids     []int32
	offsets []types.Offset
	unknown int // tokens that are [UNK]
	aside   int // special tokens that stood in the text
	invalid int32

	short [64]byte // an ASCII word, normalised

	word    []byte         // a word that took the general way, normalised
	spans   []types.Offset // of each byte of word: the character it comes from
	chars   int            // of word
	wordEnd int32          // of the last character, also of those that word has no room for

	run      []mark         // characters that wait for canonical ordering
	runSpans []types.Offset // of the characters that begin in run
	sorted   []mark
	keep     int          // of run: how many are not dropped
	prev     types.Offset // of the character read last, in canonical order

	collect   bool           // put normalised text into norm, not into words
	norm      []byte         // the normalised segment
	normSpans []types.Offset // of each byte of norm

	hashes []uint64 // of the beginnings of a piece
}

// emit appends one token.
func (s *state) emit(id, start, end int32) {
	s.ids = append(s.ids, id)
	s.offsets = append(s.offsets, types.Offset{Start: start, End: end})
}

// whole emits a word as one token; id -1 means that the vocabulary does not know it.
func (s *state) whole(id, start, end int32) {
	if id < 0 {
		id = s.t.special.Unknown
		s.unknown++
	}
	s.emit(id, start, end)
}

// The memory that unused states may hold: most hold next to nothing, the first one may have seen a
// text of a megabyte that is nothing but combining marks.
const (
	keptBytes  = 1 << 18
	firstBytes = 1 << 24
)

func (s *state) bytes() int {
	return cap(s.word) + cap(s.norm) +
		8*(cap(s.spans)+cap(s.runSpans)+cap(s.normSpans)+cap(s.run)+cap(s.sorted)+cap(s.hashes))
}

// freeList keeps a few states. It is no sync.Pool because that one forgets, and so allocates,
// whenever the garbage collector runs.
type freeList struct {
	slots [8]atomic.Pointer[state]
}

func (f *freeList) get() *state {
	for i := range f.slots {
		if s := f.slots[i].Load(); s != nil && f.slots[i].CompareAndSwap(s, nil) {
			return s
		}
	}
	return new(state)
}

// put keeps s for a later call, without any trace of the text or of the caller's memory.
func (f *freeList) put(s *state) {
	size := s.bytes()
	if size > firstBytes {
		return
	}
	*s = state{
		word: s.word[:0], spans: s.spans[:0],
		run: s.run[:0], runSpans: s.runSpans[:0], sorted: s.sorted[:0],
		norm: s.norm[:0], normSpans: s.normSpans[:0],
		hashes: s.hashes[:0],
	}
	if size > keptBytes {
		f.slots[0].Store(s)
		return
	}
	for i := range f.slots {
		if f.slots[i].CompareAndSwap(nil, s) {
			return
		}
	}
}
