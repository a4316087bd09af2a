package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/simd"
)

func TestEmbed(t *testing.T) {
	r := run(t, "", "embed", "--model", tiny, "hello world", "", strings.Repeat("cat ", 100))
	r.expect(t, 0, "text 2 is longer")
	got := records[embedRecord](t, r)
	if len(got) != 3 {
		t.Fatalf("%d records", len(got))
	}
	for i, want := range []embedRecord{
		{Index: 0, Text: "hello world", Tokens: 4},
		{Index: 1, Text: "", Tokens: 2},
		{Index: 2, Text: strings.Repeat("cat ", 100), Tokens: 32, Truncated: true},
	} {
		g := got[i]
		if g.Index != want.Index || g.Text != want.Text || g.Tokens != want.Tokens || g.Truncated != want.Truncated || len(g.Embedding) != 32 {
			t.Errorf("record %d is %+v, want %+v", i, g, want)
		}
		if norm := metrics.Dot(g.Embedding, g.Embedding); math.Abs(norm-1) > 1e-5 {
			t.Errorf("record %d has norm %v", i, norm)
		}
	}
}

// bf16 gives vectors of its own, or says that the processor has none of it.
func TestEmbedBF16(t *testing.T) {
	args := []string{"embed", "--model", tiny, "hello world", "--precision"}
	r := run(t, "", append(args, "bf16")...)
	if !simd.HasBF16() {
		r.expect(t, exitUsage, "this CPU has no bf16 arithmetic")
		return
	}
	r.expect(t, 0)
	halves := records[embedRecord](t, r)[0].Embedding
	r = run(t, "", append(args, "f32")...)
	r.expect(t, 0)
	floats := records[embedRecord](t, r)[0].Embedding
	if c := metrics.Cosine(halves, floats); !(c >= 0.9995) || slices.Equal(halves, floats) {
		t.Errorf("cosine %v to float32", c)
	}
}

// The forms hold the same vector.
func TestEmbedOutput(t *testing.T) {
	read := func(args ...string) embedRecord {
		t.Helper()
		r := run(t, "", append([]string{"embed", "--model", tiny, "--role", "query", "hello"}, args...)...)
		r.expect(t, 0)
		r.silent(t)
		got := records[embedRecord](t, r)
		if len(got) != 1 {
			t.Fatalf("%d records", len(got))
		}
		return got[0]
	}
	f32, i8, bits := read(), read("--output", "int8"), read("--output", "binary")
	if len(f32.Embedding) != 32 || f32.I8 != nil || f32.Bits != nil || f32.Scale != nil {
		t.Errorf("f32: %+v", f32)
	}
	if i8.Embedding != nil || i8.Bits != nil || len(i8.I8) != 32 || i8.Scale == nil {
		t.Fatalf("int8: %+v", i8)
	}
	if bits.Embedding != nil || bits.I8 != nil || len(bits.Bits) != 4 {
		t.Fatalf("binary: %+v", bits)
	}
	for i, x := range f32.Embedding {
		if d := math.Abs(float64(*i8.Scale)*float64(i8.I8[i]) - float64(x)); d > 0.51*float64(*i8.Scale) {
			t.Errorf("component %d is %v, in int8 %v quanta of %v", i, x, i8.I8[i], *i8.Scale)
		}
		if on := bits.Bits[i/8]>>(i%8)&1 == 1; on != (x > 0) {
			t.Errorf("component %d is %v, its bit %v", i, x, on)
		}
	}
	run(t, "", "embed", "--output", "i4", "a").expect(t, exitUsage, "--output i4")
}

func TestEmbedRole(t *testing.T) {
	var all []embedRecord
	for _, args := range [][]string{{"--role", "query"}, {"--role", "document"}, nil} {
		r := run(t, "", append([]string{"embed", "--model", tiny, "hello", "world"}, args...)...)
		if args == nil {
			r.expect(t, 0, "text 0 is embedded without a role", "2 of 2 texts are embedded without a role")
		} else {
			r.expect(t, 0)
			r.silent(t)
		}
		all = append(all, records[embedRecord](t, r)[0])
	}
	if all[0].Tokens != 5 || all[1].Tokens != 5 || all[2].Tokens != 3 || slices.Equal(all[0].Embedding, all[1].Embedding) {
		t.Errorf("%+v", all)
	}
	for _, role := range []string{"", "passage"} {
		run(t, "", "embed", "--role", role, "a").expect(t, exitUsage, "--role")
	}
}

func TestEmbedDimensions(t *testing.T) {
	run(t, "", "embed", "--model", tiny, "--dimensions", "16", "a").expect(t, exitUsage, "not trained for vectors shorter")
	run(t, "", "embed", "--dimensions", "0", "a").expect(t, exitUsage, "--dimensions 0")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/README.md", []byte("---\ntags:\n- loss:MatryoshkaLoss\n---\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", "embed", "--model", dir, "--role", "query", "--dimensions", "16", "a")
	r.expect(t, 0)
	if got := records[embedRecord](t, r); len(got) != 1 || len(got[0].Embedding) != 16 {
		t.Errorf("%+v", got)
	}
}

func TestEmbedMaxTokens(t *testing.T) {
	cats := strings.Repeat("cat ", 100)
	for n, want := range map[string]int{"5": 5, "48": 48} {
		r := run(t, "", "embed", "--model", tiny, "--max-tokens", n, cats)
		r.expect(t, 0)
		if got := records[embedRecord](t, r); len(got) != 1 || got[0].Tokens != want || !got[0].Truncated {
			t.Errorf("--max-tokens %s: %+v", n, got)
		}
	}
}

// All doors give the same vectors, in the order of the texts, however they fall into batches.
func TestEmbedOrder(t *testing.T) {
	texts := make([]string, 3*maxBatch+5)
	var lines, jsonl strings.Builder
	for i := range texts {
		texts[i] = fmt.Sprintf("cat %d <&>", i)
		if i%7 == 0 {
			texts[i] = ""
		}
		fmt.Fprintln(&lines, texts[i])
		j, err := json.Marshal(map[string]string{"text": texts[i]})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&jsonl, "%s\n\n", j)
	}
	args := run(t, "", append([]string{"embed", "--model", tiny}, texts...)...)
	args.expect(t, 0)
	got := records[embedRecord](t, args)
	if len(got) != len(texts) {
		t.Fatalf("%d records of %d texts", len(got), len(texts))
	}
	for i, g := range got {
		if g.Index != i || g.Text != texts[i] {
			t.Errorf("record %d is of text %d, %q", i, g.Index, g.Text)
		}
	}
	if slices.Equal(got[1].Embedding, got[2].Embedding) {
		t.Error("two texts have the same vector")
	}
	for name, r := range map[string]result{
		"file":        run(t, "", "embed", "--model", tiny, "--file", write(t, "t.txt", lines.String())),
		"jsonl file":  run(t, "", "embed", "--model", tiny, "--file", write(t, "t.jsonl", jsonl.String())),
		"stdin":       run(t, lines.String(), "embed", "--model", tiny, "--file", "-"),
		"jsonl stdin": run(t, jsonl.String(), "embed", "--model", tiny, "--jsonl", "--file", "-"),
	} {
		if r.code != 0 || r.stdout != args.stdout {
			t.Errorf("%s: exit code %d, or other output than for arguments", name, r.code)
		}
	}
}

func TestLongLine(t *testing.T) {
	file := write(t, "long.txt", "cat\n"+strings.Repeat("cat sat ", 10<<20/8)+"\ndog\n")
	r := run(t, "", "embed", "--model", tiny, "--file", file)
	r.expect(t, 0, "text 1 is longer")
	got := records[embedRecord](t, r)
	if len(got) != 3 || !got[1].Truncated || got[1].Tokens != 32 || len(got[1].Text) != 10<<20 || got[2].Text != "dog" {
		t.Errorf("%d records, or the long line is not as it should be", len(got))
	}
}

// Each ill-formed part counts as one U+FFFD, in the output and for the model.
func TestIllFormed(t *testing.T) {
	bad := run(t, "", "embed", "--model", tiny, "cat \xe2\x82 dog")
	bad.expect(t, 0, "text 0 is not UTF-8")
	good := run(t, "", "embed", "--model", tiny, "cat \ufffd dog")
	good.expect(t, 0)
	if bad.stdout != good.stdout {
		t.Errorf("got %s, want %s", clip(bad.stdout), clip(good.stdout))
	}
}

func TestUnknownWords(t *testing.T) {
	r := run(t, "", "embed", "こんにちは世界", "hello", "Привет, мир")
	r.expect(t, 0, "less than half of text 0", "2 of 3 texts are mostly outside")
	if n := strings.Count(r.stderr, "\n"); n != 2 {
		t.Errorf("%d lines on stderr, want 2: %s", n, r.stderr)
	}
	for _, e := range records[embedRecord](t, r) {
		for _, x := range e.Embedding {
			if x != x {
				t.Fatalf("text %d has NaN in its vector", e.Index)
			}
		}
	}
}

func TestTokenize(t *testing.T) {
	r := run(t, "", "tokenize", "--model", tiny, "Hello  catted", "")
	r.expect(t, 0)
	r.silent(t)
	got := records[tokenRecord](t, r)
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	g := got[0]
	if want := []string{"[CLS]", "hello", "cat", "##t", "##ed", "[SEP]"}; !slices.Equal(g.Tokens, want) {
		t.Errorf("tokens %q, want %q", g.Tokens, want)
	}
	if want := [][2]int32{{0, 0}, {0, 5}, {7, 10}, {10, 11}, {11, 13}, {0, 0}}; !slices.Equal(g.Offsets, want) {
		t.Errorf("offsets %v, want %v", g.Offsets, want)
	}
	if len(g.IDs) != 6 || g.IDs[0] != 2 || g.IDs[5] != 3 {
		t.Errorf("ids %v", g.IDs)
	}
	if want := []string{"[CLS]", "[SEP]"}; got[1].Index != 1 || !slices.Equal(got[1].Tokens, want) {
		t.Errorf("the empty text: %+v", got[1])
	}

	// Nothing is truncated, and a tokenizer.json alone is enough.
	tokenizer, err := os.ReadFile(tiny + "/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	alone := write(t, "tokenizer.json", string(tokenizer))
	r = run(t, "", "tokenize", "--model", strings.TrimSuffix(alone, "tokenizer.json"), strings.Repeat("cat ", 100))
	r.expect(t, 0)
	if got := records[tokenRecord](t, r); len(got) != 1 || len(got[0].IDs) != 102 {
		t.Errorf("%d records, or not 102 tokens", len(got))
	}
}
