package distill

import (
	"math/rand/v2"
	"sort"
)

const (
	saladMin, saladMax = 2, 14 // tokens
	zipfOffset         = 20    // flattens the head of the frequency law
)

// bags are sequences of tokens, rows or ids, one after the other: bag i is tokens[ends[i-1]:ends[i]].
type bags struct {
	tokens []int32
	ends   []int
}

func (b *bags) len() int { return len(b.ends) }

func (b *bags) at(i int) []int32 {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.tokens[start:b.ends[i]]
}

func (b *bags) add(tokens ...int32) {
	b.tokens = append(b.tokens, tokens...)
	b.ends = append(b.ends, len(b.tokens))
}

// salads draws n bags of unrelated words. Half of the words follow the frequency law of text, which
// teaches the common ones their weight; half are drawn evenly, so that the rare ones are seen at all.
func (v *vocabulary) salads(n int, rng *rand.Rand) *bags {
	words := len(v.ids) - v.ranked
	cumulative := make([]float64, words)
	sum := 0.0
	for i := range cumulative {
		sum += 1 / float64(v.rank(v.ranked+i)+zipfOffset)
		cumulative[i] = sum
	}
	b := &bags{ends: make([]int, 0, n)}
	salad := make([]int32, 0, saladMax)
	for range n {
		salad = salad[:0]
		for range saladMin + rng.IntN(saladMax-saladMin+1) {
			word := 0
			if rng.IntN(2) == 0 {
				word = sort.SearchFloat64s(cumulative, rng.Float64()*sum)
			} else {
				word = rng.IntN(words)
			}
			salad = append(salad, int32(v.ranked+min(word, words-1)))
		}
		b.add(salad...)
	}
	return b
}
