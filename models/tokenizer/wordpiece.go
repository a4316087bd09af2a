package tokenizer

import (
	"math/bits"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/maida-ai/gomai/types"
)

// hashSeed is the hash of the empty string: not 0, so that leading NULs count.
const hashSeed = 1

// vocabulary finds the id of a token. All tokens lie in one string, and an open-addressing table maps
// their hashes to ids: flat memory that is made in about a millisecond, which a map or a trie of
// 30,000 tokens is not.
//
// The hash is a polynomial, h = h*base + byte, so that the hashes of all beginnings of a word come
// while it is read, and those of a continuing piece start from the hash of its prefix.
type vocabulary struct {
	text  string   // all tokens by id, one after the other
	ends  []uint32 // (ids+1,): token i is text[ends[i]:ends[i+1]]
	slots []uint64 // upper half: part of the hash; lower half: id+1, 0 if free
	shift uint8    // the slot of a mixed hash is its upper bits
	base  uint64

	prefix     string // of tokens that continue a word: ##
	prefixHash uint64
	longest    int // bytes of the longest token
	longestSub int // bytes of the longest token that continues a word, without its prefix

	ascii [128]int32 // ids of the tokens of one ASCII character; -1: none
}

func (v *vocabulary) size() int { return len(v.ends) - 1 }

func (v *vocabulary) token(id int32) string { return v.text[v.ends[id]:v.ends[id+1]] }

// index makes the table for the tokens with ids below n; v has text, ends and prefix. It returns the
// ids of two tokens that are the same, if there are any.
func (v *vocabulary) index(n int) (a, b int32, twice bool) {
	// A random base: no file can hold tokens made to collide.
	v.base = rand.Uint64() | 1
	v.prefixHash = v.hash(hashSeed, []byte(v.prefix))
	size := 1 << bits.Len(uint(2*n))
	v.slots = make([]uint64, size)
	v.shift = uint8(64 - bits.TrailingZeros(uint(size)))
	for c := range v.ascii {
		v.ascii[c] = -1
	}
	for id := range int32(n) {
		t := v.token(id)
		h := uint64(hashSeed)
		for i := range len(t) {
			h = h*v.base + uint64(t[i])
		}
		x := mix(h)
		i := x >> v.shift
		for v.slots[i] != 0 {
			if uint32(v.slots[i]>>32) == uint32(x) {
				if old := int32(uint32(v.slots[i])) - 1; v.token(old) == t {
					return old, id, true
				}
			}
			i = (i + 1) & uint64(size-1)
		}
		v.slots[i] = x<<32 | uint64(id+1)
		v.longest = max(v.longest, len(t))
		if len(t) >= len(v.prefix) && t[:len(v.prefix)] == v.prefix {
			v.longestSub = max(v.longestSub, len(t)-len(v.prefix))
		}
		if len(t) == 1 && t[0] < utf8.RuneSelf {
			v.ascii[t[0]] = id
		}
	}
	return 0, 0, false
}

// mix spreads the bits of a polynomial hash, whose low bits depend on little.
func mix(h uint64) uint64 {
	h ^= h >> 32
	return h * 0x9E3779B97F4A7C15
}

func (v *vocabulary) hash(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = h*v.base + uint64(c)
	}
	return h
}

// lookup returns the id of the token that consists of the first skip bytes of the prefix and s, or
// -1; h is its hash. skip is 0 or all of the prefix.
func (v *vocabulary) lookup(h uint64, s []byte, skip int) int32 {
	x := mix(h)
	i := x >> v.shift
	for {
		slot := v.slots[i]
		if slot == 0 {
			return -1
		}
		if uint32(slot>>32) == uint32(x) {
			id := int32(uint32(slot)) - 1
			if t := v.token(id); len(t) == skip+len(s) && t[skip:] == string(s) && t[:skip] == v.prefix[:skip] {
				return id
			}
		}
		i = (i + 1) & uint64(len(v.slots)-1)
	}
}

// find returns the id of a token or -1.
func (v *vocabulary) find(token string) int32 {
	b := []byte(token)
	return v.lookup(v.hash(hashSeed, b), b, 0)
}

// pieces splits a word into the longest tokens from the left; if some part has none, all of it is
// unknown. spans has the origin of each byte; if it is nil, byte i comes from byte at+i of the text.
func (s *state) pieces(word []byte, spans []types.Offset, at int32) {
	v := &s.t.vocab
	before := len(s.ids)
	origin := func(from, to int) (start, end int32) {
		if spans == nil {
			return at + int32(from), at + int32(to)
		}
		return spans[from].Start, spans[to-1].End
	}
	for from := 0; from < len(word); {
		h, skip, limit := uint64(hashSeed), 0, v.longest
		if from > 0 {
			h, skip, limit = v.prefixHash, len(v.prefix), v.longestSub
		}
		to := min(len(word), from+limit)
		s.hashes = s.hashes[:0]
		for _, c := range word[from:to] {
			h = h*v.base + uint64(c)
			s.hashes = append(s.hashes, h)
		}
		id := int32(-1)
		for ; to > from; to-- {
			if to < len(word) && !utf8.RuneStart(word[to]) {
				continue
			}
			if id = v.lookup(s.hashes[to-from-1], word[from:to], skip); id >= 0 {
				break
			}
		}
		if id < 0 {
			s.ids, s.offsets = s.ids[:before], s.offsets[:before]
			start, end := origin(0, len(word))
			s.whole(-1, start, end)
			return
		}
		start, end := origin(from, to)
		s.emit(id, start, end)
		from = to
	}
}
