package distill

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models/modelfile"
)

func tinyParts(t testing.TB) (*tokenizerFile, *vocabulary) {
	t.Helper()
	tok, err := readTokenizer(tinyTokenizer(t, tinyVocab()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVocabulary(tok.Model.Vocab, tok.special)
	if err != nil {
		t.Fatal(err)
	}
	return tok, v
}

func TestVocabulary(t *testing.T) {
	tok, v := tinyParts(t)
	var kept []string
	for row, id := range v.ids {
		kept = append(kept, tok.Model.Vocab[id])
		if v.rowOf[id] != int32(row) {
			t.Errorf("id %d has row %d, want %d", id, v.rowOf[id], row)
		}
	}
	want := slices.DeleteFunc(tinyVocab(), func(s string) bool {
		return slices.Contains([]string{"[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "я", "中", "。", "мир", "日本", "##ов"}, s)
	})
	if !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
	if got := tok.Model.Vocab[v.first]; got != "the" || kept[v.ranked] != "the" {
		t.Errorf("the words begin at %q, row %d", got, v.ranked)
	}
	for _, c := range []struct {
		token string
		rank  int
	}{{"!", 1}, {"é", 1}, {"the", 1}, {"of", 2}, {"##s", 3}, {"and", 5}} {
		if got := v.rank(slices.Index(kept, c.token)); got != c.rank {
			t.Errorf("%q has rank %d, want %d", c.token, got, c.rank)
		}
	}
}

func TestVocabularyWithoutWords(t *testing.T) {
	none := func(int32) bool { return false }
	for _, tokens := range [][]string{nil, {"[PAD]", "a", "b"}, {"a", "мир", "日本"}} {
		if v, err := newVocabulary(tokens, none); err == nil {
			t.Errorf("%q: %d rows and no error", tokens, len(v.ids))
		}
	}
}

// TestRealVocabulary holds the facts about BERT's uncased English vocabulary that the recipe was
// found with: its words begin with "the", id 1996.
func TestRealVocabulary(t *testing.T) {
	data, err := modelfile.ReadFile(os.DirFS(testmodel.MiniLM(t)), "tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := readTokenizer(data)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVocabulary(tok.Model.Vocab, tok.special)
	if err != nil {
		t.Fatal(err)
	}
	if v.first != 1996 || tok.Model.Vocab[v.first] != "the" {
		t.Errorf("the words begin at id %d", v.first)
	}
	if n := len(v.ids); n < 27_500 || n > 28_500 {
		t.Errorf("%d rows, about 28,000 tokens have Latin script", n)
	}
}

func TestLatin(t *testing.T) {
	for token, want := range map[string]bool{
		"the": true, "##ing": true, "é": true, "straße": true, "2019": true, "!": true, "€": true, "–": true, "co₂": true, "™": true,
		"мир": false, "##ов": false, "α": false, "日": false, "。": false, "ー": false, "ـ": false, "।": false, "ا": false, "αb": false, "aя": false,
	} {
		if got := latin(token); got != want {
			t.Errorf("latin(%q) = %v", token, got)
		}
	}
}

func TestSalads(t *testing.T) {
	_, v := tinyParts(t)
	const n = 20_000
	b := v.salads(n, rand.New(rand.NewPCG(1, 1)))
	if b.len() != n {
		t.Fatalf("%d salads, want %d", b.len(), n)
	}
	lengths := map[int]int{}
	count := make([]int, len(v.ids))
	for i := range b.len() {
		lengths[len(b.at(i))]++
		for _, row := range b.at(i) {
			count[row]++
		}
	}
	for length := range saladMax + 2 {
		switch got := lengths[length]; {
		case length < saladMin || length > saladMax:
			if got > 0 {
				t.Errorf("%d salads of %d words", got, length)
			}
		case got < n/13*9/10 || got > n/13*11/10:
			t.Errorf("%d salads of %d words, want about %d", got, length, n/13)
		}
	}
	words := len(v.ids) - v.ranked
	var zipf float64
	for row := v.ranked; row < len(v.ids); row++ {
		zipf += 1 / float64(v.rank(row)+zipfOffset)
	}
	for row, got := range count {
		want := 0.0
		if row >= v.ranked {
			want = float64(len(b.tokens)) * (0.5/float64(words) + 0.5/float64(v.rank(row)+zipfOffset)/zipf)
		}
		if float64(got) < 0.9*want || float64(got) > 1.1*want {
			t.Errorf("row %d was drawn %d times, want about %.0f", row, got, want)
		}
	}
	again := v.salads(n, rand.New(rand.NewPCG(1, 1)))
	if !slices.Equal(b.tokens, again.tokens) || !slices.Equal(b.ends, again.ends) {
		t.Error("the same seed drew other salads")
	}
}
