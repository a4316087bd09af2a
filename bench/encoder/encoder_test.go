package encoder

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/testmodel"
)

// Every case runs, or says why not; every limit is about cases that are there.
func TestSuite(t *testing.T) {
	testmodel.MiniLM(t)
	testmodel.Slow(t)
	groups := Groups()
	results, figures, err := bench.Run(groups, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Absent != "" {
			if r.Absent != bench.NoLevel {
				t.Errorf("%s: %s is absent: %s", r.Group, r.Name, r.Absent)
			}
			continue
		}
		if len(r.Samples) == 0 || !(r.Samples[0] > 0) {
			t.Errorf("%s: %s has the samples %v", r.Group, r.Name, r.Samples)
		}
	}
	limits := 0
	for _, g := range groups {
		limits += len(g.Limits)
	}
	if len(figures) != limits {
		t.Errorf("%d figures of %d limits", len(figures), limits)
	}
}

// Without weights there is nothing but what needs none.
func TestWithoutWeights(t *testing.T) {
	t.Setenv("GOMAI_TESTDATA", t.TempDir())
	for _, g := range Groups() {
		for _, c := range g.Cases {
			if without := c.Name == "static model"; without != (c.Absent == "") || without != (c.Open != nil) {
				t.Errorf("%s: %s is absent: %q", g.Name, c.Name, c.Absent)
			}
		}
	}
}

func TestTextsOf(t *testing.T) {
	testmodel.MiniLM(t)
	for _, length := range []int{8, BatchTokens} {
		texts, err := TextsOf(Callers, length)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := split(texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			if len(ids[i]) != length {
				t.Errorf("%q has %d tokens, not %d", text, len(ids[i]), length)
			}
		}
		slices.Sort(texts)
		if n := len(slices.Compact(texts)); n != Callers {
			t.Errorf("%d different texts of %d tokens, not %d", n, length, Callers)
		}
	}
	if _, err := TextsOf(1, 1); err == nil {
		t.Error("there is a text of one token")
	}
}

func TestIDs(t *testing.T) {
	for _, n := range []int{2, 8, 512} {
		ids := IDs(n)
		if len(ids) != n || ids[0] != 101 || ids[n-1] != 102 || !slices.Equal(ids, IDs(n)) {
			t.Errorf("%d ids: %v", n, ids)
		}
		for _, id := range ids[1 : n-1] {
			if id < 1000 || id >= 30_000 {
				t.Errorf("id %d", id)
			}
		}
	}
}

func TestCosine(t *testing.T) {
	if got := cosine([]float32{1, 2, 0}, []float32{2, 4, 0}); got != 1 {
		t.Errorf("of parallel vectors %v", got)
	}
	if got := cosine([]float32{3, 4}, []float32{4, 3}); got != 24.0/25 {
		t.Errorf("of (3, 4) and (4, 3) %v", got)
	}
}

// The page has a table of every group; who adds one makes the page again.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range Groups() {
		_, table, ok := strings.Cut(string(page), fmt.Sprintf("### %s\n\n%s\n", g.Name, g.About))
		if !ok {
			t.Errorf("docs/BENCHMARKS.md does not say of %s what the suite says", g.Name)
			continue
		}
		table, _, _ = strings.Cut(table, "###")
		for _, c := range g.Cases {
			if !strings.Contains(table, "| "+c.Name+" ") {
				t.Errorf("docs/BENCHMARKS.md has no line for %s: %s", g.Name, c.Name)
			}
		}
	}
}
