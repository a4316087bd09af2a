package distill

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/modelfile"
)

// tinyBERT is a seeded random encoder of 32 dimensions in the layout of sentence-transformers.
const tinyBERT = "../testdata/tiny-bert"

// TestOpen distils a real encoder, if a tiny one, from its folder, twice.
func TestOpen(t *testing.T) {
	var first map[string][]byte
	for range 2 {
		src, err := Open(tinyBERT)
		if err != nil {
			t.Fatal(err)
		}
		if src.Name != "tiny-bert" || src.HiddenSize != 32 || src.License != "" {
			t.Errorf("source %+v", src)
		}
		out := files(t, run(t, src, Options{Dims: 32, Salads: 300}))
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		if first == nil {
			first = out
		}
		if len(out) != 4 || !bytes.Equal(out["model.safetensors"], first["model.safetensors"]) {
			t.Error("another table from the same encoder")
		}
		for name := range out {
			if !bytes.Equal(out[name], first[name]) {
				t.Errorf("%s differs", name)
			}
		}
	}
}

// TestRead: the source reads as the model embeds.
func TestRead(t *testing.T) {
	src, err := Open(tinyBERT)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	m, err := models.Open(tinyBERT)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tokens, err := src.Tokenizer.Tokenize("the cat sits on the mat")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	hidden := make([]float32, len(tokens.IDs)*src.HiddenSize)
	got, want := make([]float32, src.HiddenSize), make([]float32, src.HiddenSize)
	if err := src.Read(ctx, tokens.IDs, hidden, got); err != nil {
		t.Fatal(err)
	}
	if err := m.EmbedIDsInto(ctx, tokens.IDs, want); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("vector %v, the model gives %v", got, want)
	}
	if !slices.ContainsFunc(hidden[len(hidden)-src.HiddenSize:], func(x float32) bool { return x != 0 }) {
		t.Error("the last token has no state")
	}
}

// TestOpenRecord compares the record with the facts about the real model.
func TestOpenRecord(t *testing.T) {
	src, err := Open(testmodel.MiniLM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	p := src.provenance(&Options{Dims: 192, Salads: 40_000})
	want := Provenance{
		From: "all-MiniLM-L6-v2", License: "apache-2.0", Salads: 40_000,
		WeightsSHA256:   "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
		TokenizerSHA256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
		Command:         "mai distill all-MiniLM-L6-v2 -o OUT --dims 192",
	}
	if p != want {
		t.Errorf("record %+v, want %+v", p, want)
	}
	if src.MaxTokens != 256 || src.HiddenSize != 384 {
		t.Errorf("%d tokens, %d dimensions", src.MaxTokens, src.HiddenSize)
	}
}

func TestOpenErrors(t *testing.T) {
	table := run(t, tinySource(t), tinyOptions)
	noTokenizer := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(noTokenizer, os.DirFS(tinyBERT)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(noTokenizer, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, file string
		missing   bool
	}{
		{filepath.Join(t.TempDir(), "none"), "", true},
		{table, "", false},
		{noTokenizer, "tokenizer.json", true},
	} {
		src, err := Open(c.dir)
		var bad *modelfile.Error
		if !errors.As(err, &bad) || bad.File != filepath.Join(c.dir, c.file) || errors.Is(err, fs.ErrNotExist) != c.missing || src != nil {
			t.Errorf("%s: error %v", c.dir, err)
		}
	}
}

// A model whose vectors have another size than its states has nothing that a table could learn from both.
func TestOpenRefusesOtherSizes(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tinyBERT)); err != nil {
		t.Fatal(err)
	}
	head := filepath.Join(filepath.Dir(tinyBERT), "heads", "identity")
	for _, name := range []string{"modules.json", "1_Pooling/config.json"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(head)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	var bad *modelfile.Error
	if !errors.As(err, &bad) || bad.File != dir || !strings.Contains(err.Error(), "vectors of 40 components are made of states of 32") {
		t.Errorf("%v", err)
	}
}

func TestLicense(t *testing.T) {
	for card, want := range map[string]string{
		"---\nlanguage: en\nlicense: apache-2.0\n---\n# Model": "apache-2.0",
		"---\nlicense: 'mit'\n---\n":                           "mit",
		"---\nlanguage: en\n---\nlicense: mit":                 "",
		"# Model\nlicense: mit":                                "",
		"---\nlicense: mit":                                    "",
		"":                                                     "",
	} {
		if got := licenseOf(card); got != want {
			t.Errorf("%q: licence %q, want %q", card, got, want)
		}
	}
}
