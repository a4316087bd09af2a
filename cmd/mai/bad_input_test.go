package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tiny is the folder of a random two-layer BERT: 32 dimensions, texts of up to 32 tokens.
const tiny = "../../models/testdata/tiny-bert"

// damage copies the tiny model and changes one file of the copy: edit returns its new content, nil to
// remove it.
func damage(t *testing.T, file string, edit func(content string) []byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := edit(string(content))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if changed != nil {
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// replaced puts to in the place of the only from.
func replaced(t *testing.T, from, to string) func(string) []byte {
	return func(s string) []byte {
		t.Helper()
		if strings.Count(s, from) != 1 {
			t.Fatalf("%q does not occur once", from)
		}
		return []byte(strings.Replace(s, from, to, 1))
	}
}

func TestBadModels(t *testing.T) {
	nothing := func(string) []byte { return []byte{} }
	gone := func(string) []byte { return nil }
	withDir := damage(t, "model.safetensors", gone)
	if err := os.Mkdir(filepath.Join(withDir, "model.safetensors"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, model string
		words       []string
	}{
		{"missing folder", "no/such/folder", []string{"no/such/folder"}},
		{"empty folder", t.TempDir(), nil},
		{"no weights", damage(t, "model.safetensors", gone), []string{"model.safetensors"}},
		{"truncated weights", damage(t, "model.safetensors", func(s string) []byte { return []byte(s[:len(s)-1000]) }),
			[]string{"model.safetensors"}},
		{"weights cut in the header", damage(t, "model.safetensors", func(s string) []byte { return []byte(s[:100]) }),
			[]string{"model.safetensors", "offset"}},
		{"empty weights", damage(t, "model.safetensors", nothing), []string{"model.safetensors", "empty"}},
		{"weights are a directory", withDir, []string{"model.safetensors", "directory"}},
		{"wrong shape", damage(t, "config.json", replaced(t, `"intermediate_size": 64`, `"intermediate_size": 96`)),
			[]string{"intermediate.dense", "64", "96"}},
		{"unknown tokeniser type", damage(t, "tokenizer.json", replaced(t, `"type":"WordPiece","unk_token"`, `"type":"Wordwise","unk_token"`)),
			[]string{"tokenizer.json", "Wordwise"}},
		{"broken tokenizer.json", damage(t, "tokenizer.json", replaced(t, `"padding":null`, `"padding":nul`)),
			[]string{"tokenizer.json", "offset 45"}},
		{"broken config.json", damage(t, "config.json", replaced(t, `"hidden_size": 32,`, `"hidden_size": 32`)),
			[]string{"config.json", "offset"}},
		{"empty tokenizer.json", damage(t, "tokenizer.json", nothing), []string{"tokenizer.json", "empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, "", "embed", "--model", c.model, "hello")
			r.expect(t, exitInput, c.words...)
			if r.stdout != "" {
				t.Errorf("stdout: %s", clip(r.stdout))
			}
			if strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("not one line on stderr: %s", r.stderr)
			}
		})
	}
}

func TestBadTokenizers(t *testing.T) {
	for _, c := range []struct {
		name, content string
		words         []string
	}{
		{"broken", `{"model": {"type": "WordPiece", "vocab": {"a": 0`, []string{"tokenizer.json", "offset"}},
		{"unknown type", `{"model": {"type": "Wordwise", "vocab": {"a": 0}}}`, []string{"tokenizer.json", "Wordwise"}},
		{"not UTF-8", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"\xff\": 0}}}", []string{"tokenizer.json"}},
		{"empty", "", []string{"tokenizer.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Dir(write(t, "tokenizer.json", c.content))
			run(t, "", "tokenize", "--model", dir, "hello").expect(t, exitInput, c.words...)
		})
	}
}

func TestBadTexts(t *testing.T) {
	for _, command := range []string{"embed", "tokenize"} {
		for _, c := range []struct {
			name string
			args []string
			in   string
			code int
			want int // records
			word string
		}{
			{"no such file", []string{"--file", "no/such/file"}, "", exitInput, 0, "no/such/file"},
			{"a directory", []string{"--file", t.TempDir()}, "", exitInput, 0, "directory"},
			{"an empty file", []string{"--file", write(t, "empty.txt", "")}, "", 0, 0, "holds no text"},
			{"stdin closed at once", []string{"--file", "-"}, "", 0, 0, "holds no text"},
			{"stdin closed within a line", []string{"--file", "-"}, "one\ntwo", 0, 2, ""},
			{"stdin closed within a JSON line", []string{"--file", "-", "--jsonl"}, "{\"text\": \"one\"}\n{\"text\": \"tw", exitInput, 1, "stdin: line 2: offset 28"},
			{"broken JSON", []string{"--file", write(t, "bad.jsonl", "{\"text\": \"one\"}\n{text: \"two\"}\n")}, "", exitInput, 1, "bad.jsonl: line 2: offset 17"},
			{"no text in a JSON line", []string{"--file", write(t, "bad.jsonl", "{\"txt\": \"one\"}\n")}, "", exitInput, 0, `bad.jsonl: line 1: "text"`},
			{"JSON lines taken for texts", []string{"--file", write(t, "odd.jsonl", "{text: \"one\"}\n\n"), "--jsonl=false"}, "", 0, 2, ""},
			{"not UTF-8", []string{"--file", write(t, "bytes.txt", "caf\xe9\n\xff\nplain\n")}, "", 0, 3, "text 0 is not UTF-8"},
			{"not UTF-8, counted", []string{"a\xe2\x82", "b\xff"}, "", 0, 2, "2 of 2 texts are not UTF-8"},
		} {
			t.Run(command+"/"+c.name, func(t *testing.T) {
				r := run(t, c.in, append([]string{command, "--model", tiny}, c.args...)...)
				r.expect(t, c.code, c.word)
				if got := strings.Count(r.stdout, "\n"); got != c.want {
					t.Errorf("%d records, want %d", got, c.want)
				}
			})
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		word string
	}{
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"help", "nonsense"}, "nonsense"},
		{[]string{"--nonsense"}, "nonsense"},
		{[]string{"embed"}, "no text"},
		{[]string{"embed", "--nonsense", "a"}, "nonsense"},
		{[]string{"embed", "--file", "f", "a"}, "--file"},
		{[]string{"embed", "--jsonl", "a"}, "--jsonl"},
		{[]string{"embed", "--precision", "f64", "a"}, "f32, bf16, int8 or auto"},
		{[]string{"embed", "--precision", "int8", "--model", tiny, "a"}, "int8"},
		{[]string{"embed", "--max-tokens", "0", "a"}, "--max-tokens"},
		{[]string{"embed", "--max-tokens", "-1", "a"}, "--max-tokens"},
		{[]string{"embed", "--max-tokens", "49", "--model", tiny, "a"}, "positions for 48"},
		{[]string{"embed", "--max-tokens", "many", "a"}, "many"},
		{[]string{"embed", "--model", "", "a"}, "--model"},
		{[]string{"tokenize", "--model", "", "a"}, "--model"},
		{[]string{"distill", "no-such-folder", "-o", "out", "--dims", "33"}, "--dims 33"},
		{[]string{"tokenize"}, "no text"},
		{[]string{"embed", "--jsonl=perhaps", "--file", "f"}, "perhaps"},
		{[]string{"similarity"}, "wants two texts, or --file"},
		{[]string{"similarity", "a"}, "wants two texts, or --file"},
		{[]string{"similarity", "a", "b", "c"}, "wants two texts, or --file"},
		{[]string{"similarity", "--file", "f", "a", "b"}, "--file f"},
		{[]string{"similarity", "--jsonl", "a", "b"}, "--jsonl"},
		{[]string{"similarity", "--model", "", "a", "b"}, "--model"},
		{[]string{"similarity", "--metric", "manhattan", "a", "b"}, "cosine, dot, euclidean"},
		{[]string{"version", "now"}, "now"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			run(t, "", c.args...).expect(t, exitUsage, c.word, "--help'")
		})
	}
}
