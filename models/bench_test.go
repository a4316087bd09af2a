package models_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
)

// BenchmarkEmbed is text to vector on the caller's goroutine, special tokens counted.
func BenchmarkEmbed(b *testing.B) {
	b.Run("micro/int4", func(b *testing.B) { benchmarkEmbed(b, builtin(b), 9, 32, 128) })
	b.Run("all-MiniLM-L6-v2/f32", func(b *testing.B) {
		benchmarkEmbed(b, open(b, testmodel.MiniLM(b), models.Precision(models.F32)), 8, 32, 128)
	})
}

func benchmarkEmbed(b *testing.B, m *models.Model, lengths ...int) {
	special := m.Tokenizer().Special()
	for _, tokens := range lengths {
		text := strings.Repeat("word ", tokens-len(special.Before)-len(special.After))
		b.Run(fmt.Sprintf("%d", tokens), func(b *testing.B) {
			b.ReportAllocs()
			ctx := b.Context()
			dst := make([]float32, m.Dim())
			for b.Loop() {
				if info, err := m.EmbedInto(ctx, text, dst); err != nil || info.Tokens != tokens {
					b.Fatal(info, err)
				}
			}
		})
	}
}

// BenchmarkOpen reads a model whose pages are in memory.
func BenchmarkOpen(b *testing.B) {
	b.Run("micro", func(b *testing.B) { benchmarkOpen(b, models.Builtin) })
	dir := testmodel.MiniLM(b)
	b.Run("all-MiniLM-L6-v2", func(b *testing.B) {
		benchmarkOpen(b, func() (*models.Model, error) { return models.Open(dir, models.Precision(models.F32)) })
	})
}

func benchmarkOpen(b *testing.B, open func() (*models.Model, error)) {
	b.ReportAllocs()
	for b.Loop() {
		m, err := open()
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}
