package models_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
)

// BenchmarkEmbed is text to vector on the caller's goroutine with the real model.
func BenchmarkEmbed(b *testing.B) {
	m := open(b, testmodel.MiniLM(b))
	for _, tokens := range []int{8, 32, 128} {
		text := strings.TrimSpace(strings.Repeat("word ", tokens-2))
		b.Run(fmt.Sprintf("all-MiniLM-L6-v2/f32/%d", tokens), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]float32, m.Dim())
			for b.Loop() {
				info, err := m.EmbedInto(b.Context(), text, dst)
				if err != nil || info.Tokens != tokens {
					b.Fatal(info, err)
				}
			}
		})
	}
}

// BenchmarkOpen reads a model whose pages are in memory.
func BenchmarkOpen(b *testing.B) {
	dir := testmodel.MiniLM(b)
	b.ReportAllocs()
	for b.Loop() {
		m, err := models.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}
