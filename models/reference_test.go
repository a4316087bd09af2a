package models_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/safetensors"
)

// reference is what the reference library made of the texts (testdata/make_*.py).
type reference struct {
	t    testing.TB
	file *safetensors.File
}

func openReference(t testing.TB, path string) reference {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return reference{t, f}
}

func (r reference) ints(name string) []int32 {
	r.t.Helper()
	tensor, ok := r.file.Tensor(name)
	if !ok || tensor.DType != safetensors.I32 {
		r.t.Fatalf("no I32 tensor %s", name)
	}
	v := make([]int32, tensor.Len())
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(tensor.Data[4*i:]))
	}
	return v
}

// rows returns a matrix row by row.
func (r reference) rows(name string) [][]float32 {
	r.t.Helper()
	tensor, _ := r.file.Tensor(name)
	v, err := tensor.Float32s()
	if err != nil || len(tensor.Shape) != 2 {
		r.t.Fatalf("%s: shape %v, %v", name, tensor.Shape, err)
	}
	rows := make([][]float32, tensor.Shape[0])
	for i := range rows {
		rows[i] = v[i*tensor.Shape[1]:][:tensor.Shape[1]]
	}
	return rows
}

func texts(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []string
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v) != 200 {
		t.Fatalf("%d texts, want 200", len(v))
	}
	return v
}

func open(t testing.TB, path string, opts ...models.Option) *models.Model {
	t.Helper()
	m, err := models.Open(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// check compares a vector with the reference: direction and length.
func check(t *testing.T, text string, got, want []float32) {
	t.Helper()
	var gg, ww float64
	for i := range got {
		gg += float64(got[i]) * float64(got[i])
		ww += float64(want[i]) * float64(want[i])
	}
	if len(text) > 40 {
		text = text[:40]
	}
	if c := cosine(got, want); !(c >= 0.99999) || math.Abs(math.Sqrt(gg)-math.Sqrt(ww)) > 1e-5 {
		t.Errorf("%q: cosine %v, length %v; want 1 and %v", text, c, math.Sqrt(gg), math.Sqrt(ww))
	}
}

func TestTinyBERTAgreesWithTheReference(t *testing.T) {
	m := open(t, "testdata/tiny-bert")
	r := openReference(t, "testdata/tiny-bert.safetensors")
	lengths, vectors, queries := r.ints("lengths"), r.rows("vectors"), r.rows("queries")
	dst := make([]float32, m.Dim())
	for i, text := range texts(t) {
		info, err := m.EmbedInto(t.Context(), text, dst)
		if err != nil {
			t.Fatal(err)
		}
		if info.Tokens != int(lengths[i]) {
			t.Errorf("%.40q: %d tokens, want %d", text, info.Tokens, lengths[i])
		}
		check(t, text, dst, vectors[i])
		if i < len(queries) {
			e, err := m.Embed(t.Context(), text, models.AsQuery)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "query: "+text, e.F32, queries[i])
		}
	}
}

// The gate for the real model: each of 200 texts.
func TestMiniLMAgreesWithTheReference(t *testing.T) {
	testmodel.Slow(t)
	m := open(t, testmodel.MiniLM(t), models.Precision(models.F32))
	r := openReference(t, "testdata/minilm.safetensors")
	texts := texts(t)
	lengths, full, vectors := r.ints("lengths"), r.ints("full_lengths"), r.rows("vectors")
	dst := make([]float32, m.Dim())
	for i, text := range texts {
		info, err := m.EmbedInto(t.Context(), text, dst)
		if err != nil {
			t.Fatal(err)
		}
		if info.Tokens != int(lengths[i]) || info.Truncated != (full[i] > lengths[i]) {
			t.Errorf("%.40q: %+v, want %d of %d tokens", text, info, lengths[i], full[i])
		}
		check(t, text, dst, vectors[i])
	}
	long := r.rows("vectors512")
	for i, which := range r.ints("long") {
		info, err := m.EmbedInto(t.Context(), texts[which], dst, models.MaxTokens(512))
		if err != nil || info.Tokens != int(min(full[which], 512)) {
			t.Fatalf("%.40q at 512 tokens: %+v, %v", texts[which], info, err)
		}
		check(t, texts[which], dst, long[i])
	}
}

// The same gate on the ids that the reference tokenised, a few of them: it tells whether a failure
// lies in the encoder or the tokeniser.
func TestMiniLMFromIDs(t *testing.T) {
	m := open(t, testmodel.MiniLM(t), models.Precision(models.F32))
	r := openReference(t, "testdata/minilm.safetensors")
	ids, vectors := r.ints("ids"), r.rows("vectors")
	texts := texts(t)
	dst := make([]float32, m.Dim())
	for i, n := range r.ints("lengths") {
		if i%20 == 0 && n < 64 {
			if err := m.EmbedIDsInto(t.Context(), ids[:n], dst); err != nil {
				t.Fatal(err)
			}
			check(t, texts[i], dst, vectors[i])
		}
		ids = ids[n:]
	}
}

// The int8 weights of an ONNX file, made floats, and with a tokeniser from elsewhere.
func TestMiniLMInONNX(t *testing.T) {
	graph := testmodel.MiniLMInt8(t)
	m, err := models.Open(graph, models.TokenizerFile(testmodel.MiniLM(t)), models.Precision(models.F32))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := openReference(t, "testdata/minilm.safetensors")
	ids, lengths := r.ints("ids"), r.ints("lengths")
	want := openReference(t, "testdata/minilm-int8.safetensors").rows("vectors")
	got := make([]float32, m.Dim())
	for i, n := range lengths {
		text := ids[:n]
		ids = ids[n:]
		if i%8 != 0 {
			continue
		}
		if err := m.EmbedIDsInto(t.Context(), text, got); err != nil {
			t.Fatal(err)
		}
		if c := cosine(got, want[i/8]); !(c >= 0.99999) {
			t.Errorf("text %d: cosine %.7f", i, c)
		}
	}
}
