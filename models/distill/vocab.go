package distill

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// vocabulary is what distillation knows of the encoder's tokens. Rows, not ids, number the tokens
// that the micro-model keeps: row r belongs to the encoder's id ids[r].
type vocabulary struct {
	ids    []int32 // (rows,) ascending
	rowOf  []int32 // (vocabulary size,) the row of an id, -1 for what is dropped
	ranked int     // first row of the part that is sorted by frequency
	first  int32   // the id where that part starts in the encoder's vocabulary
}

// newVocabulary picks the tokens worth a row: Latin script and what goes with it, without special
// tokens and placeholders.
//
// WordPiece vocabularies begin with special tokens, placeholders and single characters, in no order
// of use; words follow, the most frequent first. So the sorted part starts at the first token of two
// or more characters that is no placeholder ("the", id 1996, in BERT's uncased English vocabulary),
// and a token's distance from there is its frequency rank.
func newVocabulary(tokens []string, special func(id int32) bool) (*vocabulary, error) {
	v := &vocabulary{rowOf: make([]int32, len(tokens)), first: -1}
	for i, token := range tokens {
		id := int32(i)
		v.rowOf[i] = -1
		if special(id) || placeholder(token) {
			continue
		}
		if v.first < 0 && utf8.RuneCountInString(strings.TrimPrefix(token, continuation)) > 1 {
			v.first = id
			v.ranked = len(v.ids)
		}
		if !latin(token) {
			continue
		}
		v.rowOf[i] = int32(len(v.ids))
		v.ids = append(v.ids, id)
	}
	if v.first < 0 || v.ranked == len(v.ids) {
		return nil, errors.New("the vocabulary has no words in Latin script")
	}
	return v, nil
}

// rank is the frequency rank of a row, from 1; the unsorted characters before the words count as
// the most frequent.
func (v *vocabulary) rank(row int) int {
	return max(1, int(v.ids[row]-v.first)+1)
}

// placeholder tells the bracketed tokens that no text produces: [unused7], [PAD].
func placeholder(token string) bool {
	return len(token) > 2 && token[0] == '[' && token[len(token)-1] == ']'
}

// latin reports whether a token may occur in text of Latin script: every character is Latin, or a
// digit, mark or symbol that is not tied to another script. Of what Unicode calls common to all
// scripts only the blocks that Latin text uses are taken, so that an ideographic full stop does not
// pass for knowledge of a Chinese sentence.
func latin(token string) bool {
	for _, r := range strings.TrimPrefix(token, continuation) {
		switch {
		case unicode.Is(unicode.Latin, r):
		case !unicode.In(r, unicode.Common, unicode.Inherited):
			return false
		case r < 0x300, 0x2000 <= r && r < 0x3000:
		default:
			return false
		}
	}
	return true
}

// rowsOf keeps of each bag of ids those that have rows.
func (v *vocabulary) rowsOf(ids *bags) *bags {
	rows := &bags{ends: make([]int, 0, ids.len())}
	for i := range ids.len() {
		for _, id := range ids.at(i) {
			if row := v.rowOf[id]; row >= 0 {
				rows.tokens = append(rows.tokens, row)
			}
		}
		rows.ends = append(rows.ends, len(rows.tokens))
	}
	return rows
}

// withRows keeps the bags of ids that teach a table something: those with a token that has a row.
func (v *vocabulary) withRows(ids *bags) *bags {
	kept := &bags{}
	for i := range ids.len() {
		if bag := ids.at(i); slices.ContainsFunc(bag, func(id int32) bool { return v.rowOf[id] >= 0 }) {
			kept.add(bag...)
		}
	}
	return kept
}

// idsOf is the way back from rows to the encoder's ids.
func (v *vocabulary) idsOf(rows *bags) *bags {
	ids := &bags{tokens: make([]int32, len(rows.tokens)), ends: rows.ends}
	for i, row := range rows.tokens {
		ids.tokens[i] = v.ids[row]
	}
	return ids
}
