package models_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/simd"
)

// needsBF16 skips on processors where bf16 is not offered.
func needsBF16(t testing.TB) {
	t.Helper()
	if !simd.HasBF16() {
		t.Skip("needs AVX512_BF16 or AMX_BF16")
	}
}

// The gate for the real model: each of 200 texts, and the long ones whole.
func TestMiniLMInBF16(t *testing.T) {
	testmodel.Slow(t)
	needsBF16(t)
	m := open(t, testmodel.MiniLM(t), models.Precision(models.BF16))
	r := openReference(t, "testdata/minilm.safetensors")
	texts, vectors := texts(t), r.rows("vectors")
	least, sum, count := 1., 0., 0
	compare := func(text string, want []float32, opts ...models.Option) {
		got, _ := embed(t, m, text, opts...)
		c := cosine(got, want)
		least, sum, count = min(least, c), sum+c, count+1
		if !(c >= 0.9995) {
			t.Errorf("%.40q: cosine %v", text, c)
		}
	}
	for i, text := range texts {
		compare(text, vectors[i])
	}
	long := r.rows("vectors512")
	for i, which := range r.ints("long") {
		compare(texts[which], long[i], models.MaxTokens(512))
	}
	t.Logf("%d texts: cosine at least %.6f, mean %.6f", count, least, sum/float64(count))
}

func TestTinyBERTInBF16(t *testing.T) {
	needsBF16(t)
	m := open(t, tinyBERT, models.Precision(models.BF16))
	floats := open(t, tinyBERT, models.Precision(models.F32))
	if d := m.Describe(); d.Precision != "bf16" || !strings.Contains(string(d.Space), "/bf16/") || d.Space == floats.Space() {
		t.Errorf("%+v", d)
	}
	vectors := openReference(t, "testdata/tiny-bert.safetensors").rows("vectors")
	texts := texts(t)
	batch := make([]float32, len(texts)*m.Dim())
	if err := m.EmbedBatchInto(t.Context(), texts, batch, nil); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		got, _ := embed(t, m, text)
		if c := cosine(got, vectors[i]); !(c >= 0.9995) {
			t.Errorf("%.40q: cosine %v", text, c)
		}
		if !slices.Equal(got, batch[i*m.Dim():][:m.Dim()]) {
			t.Errorf("%.40q: another vector in a batch", text)
		}
	}
	for _, f := range []models.NumberFormat{models.F32, models.Int8} {
		if _, err := m.EmbedInto(t.Context(), "cat", batch[:m.Dim()], models.Precision(f)); err == nil || !strings.Contains(err.Error(), "computes in bf16") {
			t.Errorf("precision %v: %v", f, err)
		}
	}
	if auto := open(t, tinyBERT).Describe(); auto.Precision == "bf16" {
		t.Error("Auto takes bf16")
	}
}

func TestBF16AllocatesNothing(t *testing.T) {
	needsBF16(t)
	m := open(t, tinyBERT, models.Precision(models.BF16))
	dst := make([]float32, m.Dim())
	ctx := t.Context()
	if err := m.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(50, func() {
		if _, err := m.EmbedInto(ctx, "the cat sat on the mat", dst); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Without instructions for it bf16 would be slower than float32 and no better, so it is an error.
func TestBF16NeedsTheProcessor(t *testing.T) {
	defer cpu.Use(cpu.Levels()[0], cpu.BF16|cpu.AMXBF16)()
	var bad *models.OptionError
	m, err := models.Open(tinyBERT, models.Precision(models.BF16))
	if m != nil || !errors.As(err, &bad) || bad.Option != "Precision" || !strings.Contains(bad.Reason, "this CPU has no bf16 arithmetic") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkBF16(b *testing.B) {
	needsBF16(b)
	for _, f := range []models.NumberFormat{models.F32, models.BF16} {
		m := open(b, testmodel.MiniLM(b), models.Precision(f))
		dst := make([]float32, m.Dim())
		for _, tokens := range []int{8, 32, 128, 512} {
			ids := make([]int32, tokens)
			for i := range ids {
				ids[i] = int32(1000 + 37*i)
			}
			b.Run(fmt.Sprintf("%v/%d", f, tokens), func(b *testing.B) {
				for b.Loop() {
					if err := m.EmbedIDsInto(b.Context(), ids, dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
