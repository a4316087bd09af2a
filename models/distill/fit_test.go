package distill

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// tinyLessons asks the tiny teacher.
func tinyLessons(t *testing.T, v *vocabulary, src *Source, opts Options) *lessons {
	t.Helper()
	if err := opts.complete(src); err != nil {
		t.Fatal(err)
	}
	l, err := v.collect(context.Background(), newTeacher(src, &opts), &opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLessons: what is collected is what the encoder says of each text, in its place.
func TestLessons(t *testing.T) {
	_, v := tinyParts(t)
	src := tinySource(t)
	l := tinyLessons(t, v, src, Options{Dims: 32, Salads: 50, Workers: 3, Corpus: []string{"the мир of", "мир", "wordaa"}})
	h := src.HiddenSize
	ask := func(text []int32) (hidden, vector []float32) {
		ids := src.Tokenizer.AppendSpecial(nil, text)
		hidden, vector = make([]float32, len(ids)*h), make([]float32, h)
		if err := src.Read(context.Background(), ids, hidden, vector); err != nil {
			t.Fatal(err)
		}
		scaleTo(vector, 1)
		return hidden, vector
	}
	for row, id := range v.ids {
		hidden, vector := ask([]int32{id})
		if !slices.Equal(l.pooled[row*h:(row+1)*h], vector) || !slices.Equal(l.inner[row*h:(row+1)*h], hidden[h:2*h]) {
			t.Errorf("row %d has other views than the encoder's", row)
		}
	}
	ids := v.idsOf(l.salads)
	for i := range ids.len() {
		if _, vector := ask(ids.at(i)); !slices.Equal(l.said[i*h:(i+1)*h], vector) {
			t.Errorf("salad %d has another vector than the encoder's", i)
		}
	}
	// The encoder hears all of a sentence, the table learns the words that it has.
	whole, err := src.Tokenizer.Tokenize("the мир of")
	if err != nil {
		t.Fatal(err)
	}
	if _, vector := ask(whole.IDs[1:4]); l.corpus.len() != 2 || len(l.corpus.at(0)) != 2 || !slices.Equal(l.wrote[:h], vector) {
		t.Errorf("%d sentences, the first with %d words", l.corpus.len(), len(l.corpus.at(0)))
	}
}

// TestInitial holds the formula of the first rows against a slow version.
func TestInitial(t *testing.T) {
	_, v := tinyParts(t)
	src := tinySource(t)
	l := tinyLessons(t, v, src, Options{Dims: 32, Salads: 10})
	h, n := src.HiddenSize, len(v.ids)
	want := make([]float64, n*h)
	for _, x := range [][]float32{l.pooled, l.inner} {
		centred := make([]float64, n*h)
		norm := 0.0
		for j := range h {
			mean := 0.0
			for r := range n {
				mean += float64(x[r*h+j]) / float64(n)
			}
			for r := range n {
				centred[r*h+j] = float64(x[r*h+j]) - mean
				norm += centred[r*h+j] * centred[r*h+j]
			}
		}
		for i, c := range centred {
			rank := float64(v.rank(i / h))
			want[i] += c / math.Sqrt(norm) * (rank + 1) / (rank + 103)
		}
	}
	for i, got := range v.initial(l) {
		if math.Abs(float64(got)-want[i]) > 1e-6 {
			t.Fatalf("row %d, component %d: %g, want %g", i/h, i%h, got, want[i])
		}
	}
}

// TestFit leaves no scale outside the rows.
func TestFit(t *testing.T) {
	_, v := tinyParts(t)
	l := tinyLessons(t, v, tinySource(t), Options{Dims: 32, Salads: 600})
	table, err := v.fit(context.Background(), l, 32, rand.New(rand.NewPCG(1, 2)), func(string, int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(table.rows) != len(v.ids)*32 || slices.ContainsFunc(table.logScale, func(s float32) bool { return s != 0 }) {
		t.Errorf("%d values, log-scales %v", len(table.rows), table.logScale)
	}
}
