package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/types"
)

// TestVocabFile checks that a vocab.txt alone gives what the tokenizer.json gives.
func TestVocabFile(t *testing.T) {
	want := uncased(t)
	var b strings.Builder
	for id := range int32(want.Size()) {
		b.WriteString(want.Token(id) + "\n")
	}
	got, err := OpenFS(fstest.MapFS{"m/vocab.txt": {Data: []byte(b.String())}}, "m")
	if err != nil {
		t.Fatal(err)
	}
	if got.Vocab() != want.Vocab() {
		t.Errorf("vocabulary %s, want %s", got.Vocab(), want.Vocab())
	}
	var x, y types.TokenizedText
	for _, text := range loadFixture(t).Texts {
		if err := errors.Join(want.TokenizeInto(text, &x), got.TokenizeInto(text, &y)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.IDs, y.IDs) || !slices.Equal(x.Offsets, y.Offsets) {
			t.Fatalf("%+q: %v, want %v", text, y.IDs, x.IDs)
		}
	}
}

// TestRealModel checks that the fixture's tokenizer.json is the model's.
func TestRealModel(t *testing.T) {
	got, err := Open(testmodel.MiniLM(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := uncased(t); got.Vocab() != want.Vocab() || got.Size() != want.Size() {
		t.Errorf("%s with %d tokens, want %s with %d", got.Vocab(), got.Size(), want.Vocab(), want.Size())
	}
}

// slow returns a copy of tok that sends every character the general way.
func slow(tok *Tokenizer) *Tokenizer {
	out := &Tokenizer{
		vocab: tok.vocab, rules: tok.rules, maxChars: tok.maxChars,
		raw: tok.raw, normalized: tok.normalized, special: tok.special, id: tok.id,
	}
	for c := range out.kind {
		out.kind[c] = other
	}
	return out
}

// TestTwoWays checks that the way of ASCII words and the general one lead to the same tokens.
func TestTwoWays(t *testing.T) {
	fast := uncased(t)
	general := slow(fast)
	var x, y types.TokenizedText
	for _, text := range loadFixture(t).Texts {
		if err := errors.Join(fast.TokenizeInto(text, &x), general.TokenizeInto(text, &y)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.IDs, y.IDs) || !slices.Equal(x.Offsets, y.Offsets) || x.Known != y.Known || x.Invalid != y.Invalid {
			t.Errorf("%+q:\n%v\n%v", text, x, y)
		}
	}
}

func TestLookups(t *testing.T) {
	tok := uncased(t)
	if tok.Size() != 30522 {
		t.Errorf("%d tokens", tok.Size())
	}
	for id := range int32(tok.Size()) {
		if got, ok := tok.ID(tok.Token(id)); !ok || got != id {
			t.Fatalf("token %d %q has id %d, %v", id, tok.Token(id), got, ok)
		}
	}
	for _, id := range []int32{-1, 30522, math.MaxInt32, math.MinInt32} {
		if got := tok.Token(id); got != "" {
			t.Errorf("id %d: %q", id, got)
		}
	}
	for _, token := range []string{"", "no such token", "##", "Hello", "\xff"} {
		if id, ok := tok.ID(token); ok {
			t.Errorf("%q has id %d", token, id)
		}
	}
	s := tok.Special()
	if !slices.Equal(s.Before, []int32{101}) || !slices.Equal(s.After, []int32{102}) || s.Unknown != 100 || s.Pad != 0 {
		t.Errorf("special ids %+v", s)
	}
	if got := tok.AppendSpecial([]int32{7}, []int32{1, 2}); !slices.Equal(got, []int32{7, 101, 1, 2, 102}) {
		t.Errorf("AppendSpecial: %v", got)
	}
}

func TestKnown(t *testing.T) {
	tok := uncased(t)
	for text, want := range map[string]float32{
		"": 1, " \t\n": 1, "[CLS] [MASK]": 1, "hello": 1, "ꙮ": 0, "hello ꙮ": 0.5, "[UNK]": 0,
		"hello [UNK] [MASK] world ꙮ": 0.5, "[SEP] ꙮ": 0, "\x00\xff": 1,
	} {
		got, err := tok.Tokenize(text)
		if err != nil || got.Known != want {
			t.Errorf("%q: known %v, %v, want %v", text, got.Known, err, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	tok := uncased(t)
	texts := []string{
		"", "the quick brown fox jumps over it", "Antidisestablishmentarianism, tokenization!",
		"Dès Noël, où un zéphyr haï me vêt de glaçons würmiens", "e\u0301\u0323 \U0001D165\u0323\u302e",
		"中文分词 日本語のテキスト 한국어", "👩‍👩‍👧‍👦 👍🏽 🇩🇪", "broken \xe2\x82 \xff\x00 text", "[CLS] a [MASK] b [SEP] [ [ [",
		strings.Repeat("longword", 40) + " " + strings.Repeat("é", 90), strings.Repeat("a", 1<<20),
		strings.Repeat("中", 1<<16), strings.Repeat("a\u0301\u0323", 1<<16), strings.Repeat("\u0301", 1<<19), strings.Repeat("\u0301\u302e", 1<<16),
	}
	var out types.TokenizedText
	for _, text := range texts {
		if err := tok.TokenizeInto(text, &out); err != nil { // makes room
			t.Fatal(err)
		}
	}
	for _, text := range texts {
		if n := testing.AllocsPerRun(5, func() { _ = tok.TokenizeInto(text, &out) }); n != 0 {
			t.Errorf("%.40q: %v allocations", text, n)
		}
	}
	// Texts that grow and shrink.
	i := 0
	if n := testing.AllocsPerRun(len(texts)*4, func() {
		_ = tok.TokenizeInto(texts[i%len(texts)], &out)
		i++
	}); n != 0 {
		t.Errorf("in turn: %v allocations", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	tok := uncased(t)
	texts := loadFixture(t).Texts[:200]
	want := make([][]int32, len(texts))
	for i, text := range texts {
		out, err := tok.Tokenize(text)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = out.IDs
	}
	var wg sync.WaitGroup
	for range 16 { // more than the free list holds
		wg.Go(func() {
			var out types.TokenizedText
			for i, text := range texts {
				if err := tok.TokenizeInto(text, &out); err != nil || !slices.Equal(out.IDs, want[i]) {
					t.Errorf("text %d: %v, %v", i, out.IDs, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestLongestText calls the check itself: a text of 2 GiB takes seconds to make.
func TestLongestText(t *testing.T) {
	if err := checkLength(math.MaxInt32); err != nil {
		t.Error(err)
	}
	if e := (*Error)(nil); !errors.As(checkLength(math.MaxInt32+1), &e) {
		t.Error("2 GiB are accepted: offsets overflow")
	}
}

// TestVocabID checks that whatever influences ids changes the name of the vocabulary.
func TestVocabID(t *testing.T) {
	const base = `{"added_tokens": [{"id": 0, "content": "[UNK]", "special": true}, {"id": 4, "content": "x"}],
		"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
		"pre_tokenizer": {"type": "BertPreTokenizer"}, "padding": null,
		"post_processor": {"type": "BertProcessing", "cls": ["a", 1], "sep": ["b", 2]},
		"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
			"vocab": {"[UNK]": 0, "a": 1, "b": 2, "##c": 3}}}`
	id := func(data string) types.VocabID {
		tok, err := Parse("t", []byte(data))
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		return tok.Vocab()
	}
	want := id(base)
	for _, same := range [][2]string{
		{`"padding": null`, `"padding": {"strategy": {"Fixed": 128}}`},
		{`"strip_accents": null`, `"strip_accents": true`},
		{`"[UNK]": 0, "a": 1, "b": 2, "##c": 3`, `"##c": 3, "b": 2, "a": 1, "\u005bUNK]": 0`},
		{`{"type": "WordPiece", `, `{`},
	} {
		if !strings.Contains(base, same[0]) {
			t.Fatalf("no %s", same[0])
		}
		if got := id(strings.Replace(base, same[0], same[1], 1)); got != want {
			t.Errorf("%s changes the vocabulary", same[1])
		}
	}
	seen := map[types.VocabID]string{want: "base"}
	for _, change := range [][2]string{
		{`"clean_text": true`, `"clean_text": false`},
		{`"handle_chinese_chars": true`, `"handle_chinese_chars": false`},
		{`"strip_accents": null`, `"strip_accents": false`},
		{`"lowercase": true`, `"lowercase": false`},
		{`"strip_accents": null, "lowercase": true`, `"strip_accents": true, "lowercase": false`},
		{`["a", 1]`, `["a", 2]`},
		{`["b", 2]`, `["b", 1]`},
		{`"unk_token": "[UNK]"`, `"unk_token": "a"`},
		{`"##"`, `"#"`},
		{`100`, `99`},
		{`"a": 1, "b": 2`, `"a": 2, "b": 1`},
		{`"##c": 3`, `"##d": 3`},
		{`"content": "x"`, `"content": "y"`},
		{`"content": "x"`, `"content": "x", "normalized": true`},
		{`"content": "x"`, `"content": "x", "single_word": true`},
		{`"content": "x"`, `"content": "x", "lstrip": true`},
		{`"content": "x"`, `"content": "x", "rstrip": true`},
		{`, {"id": 4, "content": "x"}`, ``},
	} {
		if !strings.Contains(base, change[0]) {
			t.Fatalf("no %s", change[0])
		}
		got := id(strings.Replace(base, change[0], change[1], 1))
		if other, ok := seen[got]; ok {
			t.Errorf("%s: the same vocabulary as %s", change[1], other)
		}
		seen[got] = change[1]
	}
}

func ExampleTokenizer_Tokenize() {
	vocab := "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n,\nworld\n##s\n"
	tok, err := OpenFS(fstest.MapFS{"vocab.txt": {Data: []byte(vocab)}}, ".")
	if err != nil {
		fmt.Println(err)
		return
	}
	text := "Hello, wörlds"
	out, err := tok.Tokenize(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, id := range out.IDs {
		o := out.Offsets[i]
		fmt.Printf("%d %s %q\n", id, tok.Token(id), text[o.Start:o.End])
	}
	// Output:
	// 2 [CLS] ""
	// 4 hello "Hello"
	// 5 , ","
	// 6 world "wörld"
	// 7 ##s "s"
	// 3 [SEP] ""
}
