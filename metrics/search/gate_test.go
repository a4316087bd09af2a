package search_test

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/metrics/search"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

// sentences returns different sentences of the development part of the STS Benchmark, n of them from
// all over it.
func sentences(t *testing.T, n int) []string {
	t.Helper()
	f, err := os.Open("../../models/micro/testdata/stsb-en-dev.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	seen := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		for _, s := range strings.Split(lines.Text(), "\t")[1:] {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	if lines.Err() != nil || len(all) < n {
		t.Fatalf("%d sentences, %v", len(all), lines.Err())
	}
	picked := make([]string, n)
	for i := range picked {
		picked[i] = all[i*len(all)/n]
	}
	return picked
}

// TestRecall is the quality gate of quantised search, on vectors of all-MiniLM-L6-v2: the share of the
// ten nearest by floats that is found.
func TestRecall(t *testing.T) {
	testmodel.Slow(t)
	m, err := models.Open(testmodel.MiniLM(t), models.Precision(models.F32))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const rows, queries, k = 1000, 200, 10
	dim := m.Dim()
	// Every sixth sentence asks; what it is paired with may be among the rows.
	texts := sentences(t, rows+queries)
	vectors := make([]float32, len(texts)*dim)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < len(texts); i = int(next.Add(1) - 1) {
				if _, err := m.EmbedInto(t.Context(), texts[i], vectors[i*dim:][:dim]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	var corpus []float32
	var asked []types.Embedding
	for i := range texts {
		if v := vectors[i*dim:][:dim]; i%6 == 5 {
			asked = append(asked, types.Embedding{F32: v, Space: m.Space()})
		} else {
			corpus = append(corpus, v...)
		}
	}
	exact, err := search.FromF32(m.Space(), dim, corpus)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind       search.Kind
		candidates int // that floats rank again; 0 for none
		least      float64
	}{
		{search.F16, 0, 0.99},
		{search.I8, 0, 0.98},
		{search.I8, 20, 0.999},
		{search.Binary, 100, 0.98},
	} {
		coarse, err := exact.Quantize(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		var s search.Searcher
		want, got := make([]search.Hit, k), make([]search.Hit, k)
		found := 0
		for i := range asked {
			if _, err := s.TopK(t.Context(), exact, exact.All(), &asked[i], want); err != nil {
				t.Fatal(err)
			}
			if c.candidates == 0 {
				_, err = s.TopK(t.Context(), coarse, coarse.All(), &asked[i], got)
			} else {
				_, err = s.TopKRerank(t.Context(), coarse, exact, exact.All(), &asked[i], c.candidates, got)
			}
			if err != nil {
				t.Fatal(err)
			}
			in := map[int]bool{}
			for _, h := range got {
				in[h.Row] = true
			}
			for _, h := range want {
				if in[h.Row] {
					found++
				}
			}
		}
		recall := float64(found) / float64(k*len(asked))
		t.Logf("%v, %d candidates: recall@%d %.4f of %d queries, %d rows", c.kind, c.candidates, k, recall, len(asked), exact.Rows())
		if !(recall >= c.least) {
			t.Errorf("%v, %d candidates: recall@%d is %.4f, at least %.2f is needed", c.kind, c.candidates, k, recall, c.least)
		}
	}
}
