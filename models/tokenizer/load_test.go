package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// small is a complete tokenizer.json.
const small = `{
	"added_tokens": [{"id": 1, "content": "[CLS]", "special": true}, {"id": 2, "content": "[SEP]", "special": true}],
	"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
	"pre_tokenizer": {"type": "BertPreTokenizer"},
	"post_processor": {"type": "TemplateProcessing",
		"single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
		"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
	"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
		"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}}
}`

func TestParseErrors(t *testing.T) {
	if _, err := Parse("t.json", []byte(small)); err != nil {
		t.Fatal(err)
	}
	const template = `"post_processor": {"type": "TemplateProcessing",`
	for _, c := range []struct {
		name, old, new string
		field, message string // of the error
		at             string // where it points to, "" if it has no place
	}{
		{"cut short", small[200:], "", "normalizer", "it ends", ""},
		{"cut in the vocabulary", `2, "a": 3, "##b": 4}}` + "\n}", ``, "model.vocab", "it ends", ""},
		{"a comma too many", `"a": 3,`, `"a": 3,,`, "model.vocab", "a key", `, "##b"`},
		{"no colon", `"a": 3`, `"a" 3`, "model.vocab", `':'`, `3, "##b"`},
		{"bad escape", `"a": 3`, `"\a": 3`, "model.vocab", "escape", `\a`},
		{"half a surrogate", `"a": 3`, `"\ud83d": 3`, "model.vocab", "surrogate", `": 3`},
		{"control character", `"a": 3`, "\"a\t\": 3", "model.vocab", "control character", "\t\": 3"},
		{"not UTF-8", `"a": 3`, "\"a\xff\": 3", "", "not UTF-8", "\xff\": 3"},
		{"more behind it", "}}\n}", "}}\n} x", "", "the end", "x"},
		{"an array", small, `[]`, "", "an object", `[]`},
		{"unknown model", `"type": "WordPiece"`, `"type": "Unigram"`, "model.type", "Unigram, where only WordPiece", ""},
		{"model of another shape", `"type": "WordPiece"`, `"type": "BPE", "vocab": {"x": -1.5}`, "model.type", "BPE, where only WordPiece", ""},
		{"model without a kind", `"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"`, `"unk_id": 0`, "model.type", "none, where only", ""},
		{"no model", `"model"`, `"muddle"`, "model", "missing", ""},
		{"model is null", `"model": {"type": "WordPiece"`, `"model": null, "x": {"type": "WordPiece"`, "", "an object", `null, "x"`},
		{"no vocabulary", `"vocab"`, `"words"`, "model.vocab", "missing", ""},
		{"empty vocabulary", `{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}`, `{}`, "model.vocab", "no tokens", ""},
		{"vocabulary is a list", `{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}`, `[["a", 1]]`, "model.vocab", "an object", `[["a"`},
		{"same id", `"a": 3`, `"a": 4`, "model.vocab", `"a" and "##b" have the same id 4`, ""},
		{"same token", `"a": 3`, `"##b": 3`, "model.vocab", `"##b" has two ids, 3 and 4`, ""},
		{"hole", `"##b": 4`, `"##b": 5`, "model.vocab", `"##b" has id 5`, ""},
		{"negative id", `"a": 3`, `"a": -3`, "model.vocab", "-3 is no id", `-3, "##b"`},
		{"fractional id", `"a": 3`, `"a": 3.0`, "model.vocab", "3.0 is no id", `3.0`},
		{"id with an exponent", `"a": 3`, `"a": 3e0`, "model.vocab", "3e0 is no id", `3e0`},
		{"id with a zero", `"a": 3`, `"a": 03`, "model.vocab", "", `03`},
		{"huge id", `"a": 3`, `"a": 2147483647`, "model.vocab", "is no id", `2147483647`},
		{"giant id", `"a": 3`, `"a": 99999999999999999999`, "model.vocab", "is no id", `99999999999999999999`},
		{"id is text", `"a": 3`, `"a": "3"`, "model.vocab", "is no id", `"3"`},
		{"no [UNK]", `"[UNK]": 0`, `"[unk]": 0`, "model.unk_token", `"[UNK]" is not in the vocabulary`, ""},
		{"no unk_token", `"unk_token": "[UNK]", `, ``, "model.unk_token", "missing", ""},
		{"no prefix", `"continuing_subword_prefix": "##", `, ``, "model.continuing_subword_prefix", "missing", ""},
		{"no characters", `100`, `0`, "model.max_input_chars_per_word", "0", ""},
		{"characters are text", `100`, `"x"`, "model.max_input_chars_per_word", "does not fit", ",\n\t\t\"vocab"},
		{"another normaliser", `"BertNormalizer"`, `"NFKC"`, "normalizer.type", "NFKC, where only BertNormalizer", ""},
		{"no normaliser", `{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}`, `null`, "normalizer.type", "none", ""},
		{"a switch is missing", `"lowercase": true`, `"x": true`, "normalizer.lowercase", "missing", ""},
		{"a switch is text", `"lowercase": true`, `"lowercase": "yes"`, "normalizer", "lowercase", "},\n\t\"pre_tokenizer"},
		{"another splitter", `"BertPreTokenizer"`, `"Whitespace"`, "pre_tokenizer.type", "Whitespace, where only BertPreTokenizer", ""},
		{"no splitter", `"pre_tokenizer"`, `"x"`, "pre_tokenizer", "missing", ""},
		{"another post-processor", template, `"post_processor": {"type": "RobertaProcessing",`, "post_processor.type", "RobertaProcessing, where only", ""},
		{"template without text", `{"Sequence": {"id": "A", "type_id": 0}}, `, ``, "post_processor.single", "0 times", ""},
		{"template with an unknown token", `"special_tokens": {"[CLS]"`, `"special_tokens": {"[cls]"`, "post_processor.special_tokens", `"[CLS]" is missing`, ""},
		{"template id outside", `"ids": [2]`, `"ids": [5]`, "post_processor", "id 5 is outside the vocabulary of 5", ""},
		{"template id negative", `"ids": [2]`, `"ids": [-1]`, "post_processor", "id -1 is outside", ""},
		{"BertProcessing without ids", template, `"post_processor": {"type": "BertProcessing",`, "post_processor", "missing", ""},
		{"added token without content", `"content": "[SEP]"`, `"content": ""`, "added_tokens", "without content", ""},
		{"added token twice", `{"id": 2, "content": "[SEP]"`, `{"id": 1, "content": "[CLS]"`, "added_tokens", `"[CLS]" occurs twice`, ""},
		{"added token with another id", `{"id": 2,`, `{"id": 3,`, "added_tokens", `"[SEP]" has id 3 where 2 should be`, ""},
		{"added token leaves a hole", `{"id": 2, "content": "[SEP]"`, `{"id": 6, "content": "new"`, "added_tokens", `"new" has id 6 where 5 should be`, ""},
		{"added token vanishes", `"content": "[SEP]"`, `"content": "\u0301", "normalized": true`, "added_tokens", "", ""},
		{"added token is U+FFFD", `{"id": 2, "content": "[SEP]"`, `{"id": 5, "content": "\ufffd"`, "added_tokens", "U+FFFD", ""},
		{"added token of the wrong kind", `{"id": 2,`, `{"id": "2",`, "added_tokens", "id", `, "content": "[SEP]"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(small, c.old) {
				t.Fatalf("no %s", c.old)
			}
			data := strings.Replace(small, c.old, c.new, 1)
			_, err := Parse("t.json", []byte(data))
			e := (*Error)(nil)
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if e.File != "t.json" || e.Field != c.field || !strings.Contains(err.Error(), c.message) {
				t.Errorf("%v (field %q)", err, e.Field)
			}
			if c.at != "" && (e.Offset < 0 || !strings.HasPrefix(data[e.Offset:], c.at)) {
				t.Errorf("%v does not point to %q", err, c.at)
			}
			if (strings.Contains(c.message, "where only") || c.message == "none") != errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%v: errors.ErrUnsupported is wrong", err)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	vocab := "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, c := range []struct {
		name          string
		files         fstest.MapFS
		file, message string
		missing       bool
	}{
		{"nothing", fstest.MapFS{}, "m", "neither tokenizer.json nor vocab.txt", true},
		{"empty", fstest.MapFS{"m/tokenizer.json": file("")}, "m/tokenizer.json", "empty", false},
		{"empty vocabulary", fstest.MapFS{"m/vocab.txt": file("")}, "m/vocab.txt", "empty", false},
		{"blank vocabulary", fstest.MapFS{"m/vocab.txt": file("\n\n")}, "m/vocab.txt", "missing", false},
		{"a folder", fstest.MapFS{"m/tokenizer.json/x": file("x")}, "m/tokenizer.json", "a folder", false},
		{"a folder for a vocabulary", fstest.MapFS{"m/vocab.txt/x": file("x")}, "m/vocab.txt", "a folder", false},
		{"not UTF-8", fstest.MapFS{"m/vocab.txt": file(vocab + "b\xe2\x82\n")}, "m/vocab.txt", "offset 27: not UTF-8", false},
		{"no [UNK]", fstest.MapFS{"m/vocab.txt": file("[CLS]\n[SEP]\n")}, "m/vocab.txt", `"[UNK]" is not in`, false},
		{"no [CLS]", fstest.MapFS{"m/vocab.txt": file("[UNK]\n[SEP]\n")}, "m/vocab.txt", `"[CLS]" is missing`, false},
		{"token twice", fstest.MapFS{"m/vocab.txt": file(vocab + "a\n")}, "m/vocab.txt", `"a" has two ids, 4 and 5`, false},
		{"broken config", fstest.MapFS{"m/vocab.txt": file(vocab), "m/tokenizer_config.json": file(`{"do_lower_case": tru}`)}, "m/tokenizer_config.json", "offset 18", false},
		{"config of the wrong kind", fstest.MapFS{"m/vocab.txt": file(vocab), "m/tokenizer_config.json": file(`{"do_lower_case": 1}`)}, "m/tokenizer_config.json", "do_lower_case", false},
	} {
		_, err := OpenFS(c.files, "m")
		e := (*Error)(nil)
		if !errors.As(err, &e) || e.File != c.file || !strings.Contains(err.Error(), c.message) || errors.Is(err, fs.ErrNotExist) != c.missing {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing := filepath.Join(dir, "missing.json")
	e := (*Error)(nil)
	if _, err := Open(missing); !errors.As(err, &e) || e.File != missing || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(dir); !errors.As(err, &e) || e.File != dir || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	vocab := write("vocab.txt", "[UNK]\r\n[CLS]\r\n[SEP]\r\nÉa\r\n中\r\nx中\r\n\r\n")
	write("tokenizer_config.json", `{"do_lower_case": false, "tokenize_chinese_chars": false, "model_max_length": 512}`)
	for _, path := range []string{dir, vocab} {
		tok, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tok.Tokenize("Éa x中"); err != nil || fmt.Sprint(got.IDs) != "[1 3 5 2]" || tok.Size() != 6 {
			t.Errorf("%s: %v, %v, %d tokens", path, got.IDs, err, tok.Size())
		}
	}
	broken := write("tokenizer.json", "{")
	if _, err := Open(dir); !errors.As(err, &e) || e.File != broken || e.Offset != 1 {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := Open(broken); !errors.As(err, &e) || e.File != broken || e.Offset != 1 {
		t.Errorf("a broken file: %v", err)
	}
}
