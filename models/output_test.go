package models_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

const matryoshkaCard = `---
tags:
- sentence-transformers
- loss:MatryoshkaLoss
---
# A model

` + "```json\n{\n \"loss\": \"MultipleNegativesRankingLoss\",\n \"matryoshka_dims\": [\n 16,\n 8\n ]\n}\n```\n"

// matryoshka opens the tiny model with a model card that says which shorter vectors it was trained for.
func matryoshka(t testing.TB, opts ...models.Option) *models.Model {
	t.Helper()
	files := tiny(t)
	set(files, "README.md", matryoshkaCard)
	m, err := models.OpenFS(files, "m", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// shortened is the first n components of v with length 1.
func shortened(v []float32, n int) []float32 {
	out := slices.Clone(v[:n])
	var sum float64
	for _, x := range out {
		sum += float64(x) * float64(x)
	}
	for i, x := range out {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 })
}

func TestDimensions(t *testing.T) {
	ctx := t.Context()
	m := matryoshka(t)
	full, _ := embed(t, m, "hello world")
	want := shortened(full, 8)
	eight := models.Dimensions(8)
	tokens := tokenize(t, m, "hello world")
	for _, batching := range []bool{true, false} {
		opts := []models.Option{eight, models.Batching(batching)}
		e, err := m.Embed(ctx, "hello world", opts...)
		if err != nil || !near(e.F32, want) {
			t.Errorf("Embed: %v, %v; want %v", e.F32, err, want)
		}
		dst := make([]float32, 8)
		if _, err := m.EmbedInto(ctx, "hello world", dst, opts...); err != nil || !slices.Equal(dst, e.F32) {
			t.Errorf("EmbedInto: %v, %v", dst, err)
		}
		clear(dst)
		if _, err := m.EmbedTokensInto(ctx, &tokens, dst, opts...); err != nil || !slices.Equal(dst, e.F32) {
			t.Errorf("EmbedTokensInto: %v, %v", dst, err)
		}
		batch := make([]float32, 16)
		if err := m.EmbedBatchInto(ctx, []string{"cat", "hello world"}, batch, nil, opts...); err != nil || !slices.Equal(batch[8:], e.F32) {
			t.Errorf("EmbedBatchInto: %v, %v", batch[8:], err)
		}
		var size *models.SizeError
		if _, err := m.EmbedInto(ctx, "hello world", make([]float32, 32), opts...); !errors.As(err, &size) || size.Want != 8 {
			t.Errorf("EmbedInto with room for all: %v", err)
		}
	}

	short := matryoshka(t, eight)
	got, _ := embed(t, short, "hello world")
	if short.Dim() != 8 || !near(got, want) {
		t.Errorf("of Open: %d components, %v", short.Dim(), got)
	}
	ids := make([]float32, 8)
	if err := short.EmbedIDsInto(ctx, tokens.IDs, ids); err != nil || !slices.Equal(ids, got) {
		t.Errorf("EmbedIDsInto: %v, %v", ids, err)
	}
	hidden := make([]float32, 32*len(tokens.IDs))
	if err := short.HiddenInto(ctx, tokens.IDs, hidden, ids); err != nil || !slices.Equal(ids, got) {
		t.Errorf("HiddenInto: %v, %v", ids, err)
	}
	if err := short.Warm(ctx); err != nil {
		t.Errorf("Warm: %v", err)
	}
	if all, _ := embedDims(t, short, 32); !slices.Equal(all, full) {
		t.Error("Dimensions of the call does not undo that of Open")
	}
	if space, err := m.SpaceOf(eight); err != nil || space != short.Space() || space == m.Space() {
		t.Errorf("8 components are of the space %q (%v), given to Open %q, all of %q", space, err, short.Space(), m.Space())
	}
	if d := m.Describe(); !d.Shorter || !slices.Equal(d.Dimensions, []int{8, 16}) {
		t.Errorf("%+v", d)
	}
	var bad *models.OptionError
	if _, err := m.Embed(ctx, "x", models.Dimensions(12)); !errors.As(err, &bad) || !strings.Contains(err.Error(), "12 components: the model was trained for [8 16] and 32") {
		t.Errorf("12 components: %v", err)
	}
}

func embedDims(t *testing.T, m *models.Model, n int) ([]float32, types.Info) {
	t.Helper()
	dst := make([]float32, n)
	info, err := m.EmbedInto(t.Context(), "hello world", dst, models.Dimensions(n))
	if err != nil {
		t.Fatal(err)
	}
	return dst, info
}

// Who says that a model was trained for shorter vectors, and which.
func TestWhoIsMatryoshka(t *testing.T) {
	config := func(field string) map[string]string {
		return map[string]string{"config.json": strings.Replace(string(tiny(t)["m/config.json"].Data), "{", "{"+field+",", 1)}
	}
	for _, c := range []struct {
		name    string
		files   map[string]string
		shorter bool
		dims    []int
	}{
		{"nobody", nil, false, nil},
		{"a card without a word of it", map[string]string{"README.md": "# A model\n"}, false, nil},
		{"an empty card", map[string]string{"README.md": ""}, false, nil},
		{"is_matryoshka", config(`"is_matryoshka":true`), true, nil},
		{"not is_matryoshka", config(`"is_matryoshka":false`), false, nil},
		{"matryoshka_dimensions", config(`"is_matryoshka":true,"matryoshka_dimensions":[16,4,16]`), true, []int{4, 16}},
		{"dimensions that are none", config(`"matryoshka_dimensions":[0,-4]`), false, nil},
		{"truncate_dim", map[string]string{"config_sentence_transformers.json": `{"truncate_dim":16}`}, true, []int{16}},
		{"no truncate_dim", map[string]string{"config_sentence_transformers.json": `{"truncate_dim":null}`}, false, nil},
		{"matryoshka_dims", map[string]string{"config_sentence_transformers.json": `{"matryoshka_dims":[8]}`}, true, []int{8}},
		{"the card's tag", map[string]string{"README.md": "---\ntags:\n- loss:MatryoshkaLoss\n---\n"}, true, nil},
		{"the card's list", map[string]string{"README.md": matryoshkaCard}, true, []int{8, 16}},
	} {
		files := tiny(t)
		for name, data := range c.files {
			set(files, name, data)
		}
		m, err := models.OpenFS(files, "m")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		defer m.Close()
		if d := m.Describe(); d.Shorter != c.shorter || !slices.Equal(d.Dimensions, c.dims) {
			t.Errorf("%s: %v %v, want %v %v", c.name, d.Shorter, d.Dimensions, c.shorter, c.dims)
		}
	}
}

func TestOutput(t *testing.T) {
	m := matryoshka(t)
	ctx := t.Context()
	v, _ := embed(t, m, "hello world")
	i8, err := m.Embed(ctx, "hello world", models.Output(models.OutputI8))
	if err != nil || i8.F32 != nil || i8.Bits != nil || len(i8.I8) != 32 {
		t.Fatalf("%+v, %v", i8, err)
	}
	largest := 0
	for i, q := range i8.I8 {
		largest = max(largest, int(q), -int(q))
		if d := math.Abs(float64(i8.Scale)*float64(q) - float64(v[i])); d > 0.51*float64(i8.Scale) {
			t.Errorf("component %d is %v quanta of %v, want %v", i, q, i8.Scale, v[i])
		}
	}
	if largest != 127 {
		t.Errorf("the largest component has %d quanta", largest)
	}
	bits, err := m.Embed(ctx, "hello world", models.Output(models.OutputBits), models.Dimensions(16))
	if err != nil || bits.F32 != nil || bits.I8 != nil || len(bits.Bits) != 1 {
		t.Fatalf("%+v, %v", bits, err)
	}
	for i, x := range v[:16] {
		if on := bits.Bits[0]>>i&1 == 1; on != (x > 0) {
			t.Errorf("bit %d is %v for %v", i, on, x)
		}
	}
	if bits.Bits[0]>>16 != 0 {
		t.Errorf("bits beyond the last component: %x", bits.Bits[0])
	}
	f32, err := m.Embed(ctx, "hello world")
	if err != nil || !slices.Equal(f32.F32, v) || f32.I8 != nil || f32.Bits != nil {
		t.Errorf("%+v, %v", f32, err)
	}
	short, err := m.SpaceOf(models.Dimensions(16))
	if err != nil {
		t.Fatal(err)
	}
	spaces := map[types.SpaceID]bool{f32.Space: true, i8.Space: true, bits.Space: true, short: true}
	if len(spaces) != 4 {
		t.Errorf("4 kinds of vectors are of the spaces %v", spaces)
	}

	dst := make([]float32, 32)
	tokens := tokenize(t, m, "hello")
	for name, call := range map[string]func(models.Option) error{
		"EmbedInto":       func(o models.Option) error { _, err := m.EmbedInto(ctx, "x", dst, o); return err },
		"EmbedBatchInto":  func(o models.Option) error { return m.EmbedBatchInto(ctx, []string{"x"}, dst, nil, o) },
		"EmbedTokensInto": func(o models.Option) error { _, err := m.EmbedTokensInto(ctx, &tokens, dst, o); return err },
		"Open":            func(o models.Option) error { _, err := models.Open(tinyBERT, o); return err },
	} {
		var bad *models.OptionError
		if err := call(models.Output(models.OutputI8)); !errors.As(err, &bad) || bad.Option != "Output" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
