package tokenizer

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/maida-ai/gomai/types"
)

// FuzzJSON compares the reader with encoding/json: both accept the same texts. Unpaired surrogates
// and broken UTF-8, which encoding/json replaces, are left out.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		small, `{}`, `[1, -0.5e+10, true, false, null, "a\u00e9\ud83d\ude00\n"]`, `{"a":{"b":[[],{}]}}`, ` 1 `, `01`, `-`, `1.`, `1e`, `.5`, `"\x"`,
		"\"\t\"", `{"a":1,}`, `[1,]`, `{"a"}`, `{a:1}`, `nul`, `truefalse`, `"`, `"\`, `"\u12`, `[`, `{`, `{"a":`, "\u00a0", ``, `1 2`, `"\u00G0"`, "\"\x7f\"", "[\v]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			t.Skip()
		}
		r := &jsonReader{data: []byte(text)}
		_, err := r.skip(0)
		if err == nil {
			err = r.end()
		}
		if err != nil && (strings.Contains(err.Error(), "surrogate") || strings.Contains(err.Error(), "deeper")) {
			t.Skip()
		}
		if (err == nil) != json.Valid([]byte(text)) {
			t.Errorf("%q: %v, encoding/json says %v", text, err, json.Valid([]byte(text)))
		}
		var want string
		if json.Unmarshal([]byte(text), &want) == nil && text != "null" && strings.HasPrefix(strings.TrimSpace(text), `"`) {
			r := &jsonReader{data: []byte(text)}
			if got, err := r.string(); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v, want %q", text, got, err, want)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small), "a b")
	f.Add([]byte(strings.Replace(small, `"content": "[SEP]"`, `"content": "[SEP]", "normalized": true, "lstrip": true`, 1)), " [sep] a")
	f.Add([]byte(`{"model": {"type": "BPE"}}`), "")
	f.Add([]byte("[UNK]\n[CLS]\n[SEP]\na\n"), "a")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := Parse("t", data)
		if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Offset > int64(len(data))) {
			t.Fatalf("error %v", err)
		}
		if err == nil {
			if _, err := tok.Tokenize(text); err != nil {
				t.Fatal(err)
			}
		}
		if d, err := parseVocab(data); err == nil {
			if tok, err := d.build(); err == nil {
				checkTokens(t, tok, text)
			}
		}
	})
}

// checkTokens checks what holds for the tokens of any text.
func checkTokens(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	got, err := tok.Tokenize(text)
	if err != nil {
		t.Fatal(err)
	}
	s := tok.Special()
	n, before, after := len(got.IDs), len(s.Before), len(s.After)
	if n != len(got.Offsets) || !slices.Equal(got.IDs[:before], s.Before) || !slices.Equal(got.IDs[n-after:], s.After) {
		t.Fatalf("%+q: %v", text, got)
	}
	last := types.Offset{}
	for i, o := range got.Offsets {
		switch {
		case got.IDs[i] < 0 || int(got.IDs[i]) >= tok.Size():
			t.Fatalf("%+q: id %d", text, got.IDs[i])
		case i < before || i >= n-after:
			if o != (types.Offset{}) {
				t.Fatalf("%+q: a special token at %v", text, o)
			}
		case o.Start < last.Start || o.End < last.End || o.Start >= o.End || int(o.End) > len(text):
			t.Fatalf("%+q: offsets %v", text, got.Offsets)
		default:
			last = o
		}
	}
	if !(0 <= got.Known && got.Known <= 1) || (got.Invalid == 0) != utf8.ValidString(text) {
		t.Fatalf("%+q: known %v, %d ill-formed", text, got.Known, got.Invalid)
	}
	again := types.TokenizedText{IDs: make([]int32, 3), Offsets: make([]types.Offset, 1)}
	for range 2 {
		if err := tok.TokenizeInto(text, &again); err != nil || !slices.Equal(got.IDs, again.IDs) || !slices.Equal(got.Offsets, again.Offsets) {
			t.Fatalf("%+q: %v, then %v", text, got, again)
		}
	}
	// Broken text has the ids of the text with U+FFFD in place of each maximal subpart.
	if got.Invalid > 0 {
		var b strings.Builder
		for i := 0; i < len(text); {
			r, size := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && size == 1 {
				size = subpart(text[i:])
			}
			b.WriteRune(r)
			i += size
		}
		if repaired, err := tok.Tokenize(b.String()); err != nil || !slices.Equal(got.IDs, repaired.IDs) {
			t.Fatalf("%+q: %v, repaired %v", text, got.IDs, repaired.IDs)
		}
	}
}

func FuzzTokenize(f *testing.F) {
	for _, text := range []string{
		"", "Hello, wörld!", "[CLS] x [MASK]", "e\u0301\u0323", "中文", "👩‍👩‍👧", "\xff\xe2\x82", "\x00\t\u00a0", "İ", "\U0001D165\u0323\u302e", "각", "[[[MASK]]",
	} {
		f.Add(text)
	}
	tok := uncased(f)
	general := slow(tok)
	f.Fuzz(func(t *testing.T, text string) {
		checkTokens(t, tok, text)
		x, err := tok.Tokenize(text)
		y, err2 := general.Tokenize(text)
		if err != nil || err2 != nil || !slices.Equal(x.IDs, y.IDs) || !slices.Equal(x.Offsets, y.Offsets) {
			t.Fatalf("%+q: %v, the general way %v", text, x, y)
		}
	})
}
