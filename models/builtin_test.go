package models_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

func builtin(t testing.TB) *models.Model {
	t.Helper()
	m, err := models.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestBuiltin(t *testing.T) {
	m := builtin(t)
	d := m.Describe()
	if d.Kind != "static-192-mean-unit" || d.Dim != 192 || d.Positions != 0 || d.Precision != "int4" {
		t.Errorf("%+v", d)
	}
	cat, info := embed(t, m, "The cat sits on the mat.")
	if info.Known != 1 || info.Truncated || info.Tokens < 7 {
		t.Errorf("%+v", info)
	}
	kitten, _ := embed(t, m, "A kitten is sitting on a rug.")
	market, _ := embed(t, m, "Stock markets fell sharply today.")
	if near, far := cosine(cat, kitten), cosine(cat, market); !(near > far+0.3) {
		t.Errorf("cosine %v to a sentence that means the same, %v to another", near, far)
	}
}

func TestBuiltinOnWordsItDoesNotKnow(t *testing.T) {
	m := builtin(t)
	var log bytes.Buffer
	logger := models.Logger(slog.New(slog.NewTextHandler(&log, nil)))
	v, info := embed(t, m, "надежда умирает последней", logger)
	if info.Known != 0 || slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) {
		t.Errorf("no known word: %+v, %v", info, v[:3])
	}
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("logged %q", log.String())
	}
	if v, info = embed(t, m, ""); info.Known != 1 || slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) {
		t.Errorf("an empty text: %+v, %v", info, v[:3])
	}
	for _, text := range texts(t) {
		v, _ := embed(t, m, text)
		if length := cosine(v, v); slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) && !(length > 0.999 && length < 1.001) {
			t.Errorf("%.40q: cosine %v with itself", text, length)
		}
	}
}

func TestBuiltinOptions(t *testing.T) {
	m := builtin(t)
	long := strings.Repeat("cat dog ", 1000)
	ids := tokenize(t, m, long).IDs
	got, info := embed(t, m, long, models.MaxTokens(7))
	if info.Tokens != 7 || !info.Truncated {
		t.Errorf("7 tokens: %+v", info)
	}
	want := make([]float32, m.Dim())
	special := m.Tokenizer().Special()
	if err := m.EmbedIDsInto(t.Context(), append(slices.Clone(ids[:7-len(special.After)]), special.After...), want); err != nil || !slices.Equal(got, want) {
		t.Errorf("7 tokens: not the vector of the first ones, or %v", err)
	}
	if _, info := embed(t, m, long, models.MaxTokens(5000)); info.Truncated || info.Tokens != len(ids) {
		t.Errorf("a table has no positions: %+v", info)
	}
	for _, f := range []models.NumberFormat{models.F32, models.Int8, models.BF16} {
		if _, err := m.EmbedInto(t.Context(), "cat", want, models.Precision(f)); err == nil || !strings.Contains(err.Error(), "computes in int4") {
			t.Errorf("precision %v: %v", f, err)
		}
	}
	if err := m.EmbedIDsInto(t.Context(), nil, want); err != nil {
		t.Errorf("no ids: %v", err)
	}
}

func TestBuiltinAllocatesNothing(t *testing.T) {
	m := builtin(t)
	ctx := t.Context()
	dst := make([]float32, m.Dim())
	infos := make([]types.Info, 1)
	const text = "the cat sat on the mat today"
	tokens := tokenize(t, m, text)
	batch := []string{text}
	for name, call := range map[string]func() error{
		"EmbedInto":       func() error { _, err := m.EmbedInto(ctx, text, dst); return err },
		"options":         func() error { _, err := m.EmbedInto(ctx, text, dst, models.MaxTokens(5)); return err },
		"EmbedTokensInto": func() error { _, err := m.EmbedTokensInto(ctx, &tokens, dst); return err },
		"EmbedIDsInto":    func() error { return m.EmbedIDsInto(ctx, tokens.IDs, dst) },
		"EmbedBatchInto":  func() error { return m.EmbedBatchInto(ctx, batch, dst, infos) },
	} {
		n := testing.AllocsPerRun(100, func() {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A level that this machine cannot run is refused by the first call that can return an error. MAI_CPU is
// read at the start of a process, so this starts its own binary.
func TestWrongLevel(t *testing.T) {
	if os.Getenv("MAI_CPU") == "abacus" {
		_, builtin := models.Builtin()
		_, open := models.Open(tinyBERT)
		fmt.Println(builtin)
		fmt.Println(open)
		os.Exit(0)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongLevel$")
	child.Env = append(os.Environ(), "MAI_CPU=abacus")
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(out), "MAI_CPU=abacus: there is no such level") != 2 {
		t.Errorf("Builtin and Open said:\n%s", out)
	}
}
