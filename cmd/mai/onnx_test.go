package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// An ONNX file has its tokeniser beside it, or --tokenizer says where.
func TestONNX(t *testing.T) {
	dir := t.TempDir()
	graph, err := os.ReadFile("../../models/onnx/testdata/dynamo-mean.onnx")
	if err != nil {
		t.Fatal(err)
	}
	vocab := filepath.Join(dir, "words.txt")
	model := filepath.Join(dir, "encoder.onnx")
	for name, data := range map[string][]byte{model: graph, vocab: []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n")} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "", "embed", "--model", model, "hello").expect(t, 3, "vocab.txt")
	run(t, "", "embed", "--model", vocab, "hello").expect(t, 3, "neither safetensors nor ONNX")
	run(t, "", "embed", "--model", model, "--tokenizer", "", "hello").expect(t, 2, "--tokenizer")

	r := run(t, "", "embed", "--model", model, "--tokenizer", vocab, "hello")
	r.expect(t, 0)
	if got := records[embedRecord](t, r); len(got) != 1 || got[0].Tokens != 3 || len(got[0].Embedding) != 16 {
		t.Errorf("%+v", got)
	}
	r = run(t, "", "tokenize", "--model", model, "--tokenizer", vocab, "hello")
	r.expect(t, 0)
	if got := records[tokenRecord](t, r); len(got) != 1 || !slices.Equal(got[0].IDs, []int32{2, 5, 3}) {
		t.Errorf("%+v", got)
	}
}
