package tokenizer

import (
	"strings"
	"testing"

	"github.com/maida-ai/gomai/types"
)

// BenchmarkTokenize reports ns for one text and MB/s.
func BenchmarkTokenize(b *testing.B) {
	english := "The quick brown fox jumps over it, then rests; tokenization of unaffable words continues. "
	for _, c := range []struct{ name, text string }{
		{"9 tokens", "the quick brown fox jumps over it"},
		{"14 tokens", "All human beings are born free and equal in dignity and rights"},
		{"English 64 KiB", strings.Repeat(english, 1<<16/len(english))},
		{"German 64 KiB", strings.Repeat("Die Würde des Menschen ist unantastbar; größer wäre schöner. ", 1000)},
		{"Chinese 64 KiB", strings.Repeat("人人生而自由，在尊嚴和權利上一律平等。", 1200)},
		{"Emoji 64 KiB", strings.Repeat("👩‍👩‍👧‍👦 👍🏽 ok ", 1500)},
		{"One letter 1 MiB", strings.Repeat("a", 1<<20)},
		{"Words of 100 letters 1 MiB", strings.Repeat(strings.Repeat("a", 100)+" ", 1<<20/101)},
		{"Marks 1 MiB", strings.Repeat("\u0301", 1<<19)},
		{"Brackets 1 MiB", strings.Repeat("[", 1<<20)},
		{"Broken 1 MiB", strings.Repeat("\xe2\x82", 1<<19)},
	} {
		b.Run(c.name, func(b *testing.B) {
			tok := uncased(b)
			var out types.TokenizedText
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := tok.TokenizeInto(c.text, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(out.IDs)), "tokens")
		})
	}
}

// BenchmarkParse is the cold start: 30,522 tokens.
func BenchmarkParse(b *testing.B) {
	data := unzip(b, "tokenizer.json.gz")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("tokenizer.json", data); err != nil {
			b.Fatal(err)
		}
	}
}
