package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/bench/encoder"
	"github.com/maida-ai/gomai/bench/peers/child"
	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// libraries starts child.py.
func libraries(t *testing.T) *child.Child {
	t.Helper()
	testmodel.MiniLM(t)
	c, err := start(".")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// The peers compute the model that gomai computes: in float32 the same vectors, otherwise close ones.
func TestVectors(t *testing.T) {
	c := libraries(t)
	texts := [][]int32{encoder.IDs(2), encoder.IDs(8), encoder.IDs(32), encoder.IDs(32), encoder.IDs(512)}
	want, err := encoder.Vectors(models.F32, texts)
	if err != nil {
		t.Fatal(err)
	}
	dim := len(want) / len(texts)
	for _, p := range peers {
		least := 0.8 // random words are no text that anybody quantises for
		switch {
		case strings.HasSuffix(p.library, "f32"):
			least = 0.999999
		case p.library == "openvino-bf16":
			least = 0.9995
		}
		for how, rows := range map[string][2]int{"each": {0, len(texts)}, "batch": {2, 4}} {
			number := c.Cases
			if k := open(c, bench.Case{Name: p.name}, p.library, how, 1, texts[rows[0]:rows[1]]); k.Absent != "" {
				t.Fatalf("%s: %s", p.name, k.Absent)
			}
			got, err := c.Result32(number)
			if err != nil {
				t.Fatal(err)
			}
			w := want[rows[0]*dim : rows[1]*dim]
			if len(got) != len(w) {
				t.Fatalf("%s, %s: %d numbers, want %d", p.name, how, len(got), len(w))
			}
			for i := 0; i < len(w); i += dim {
				var dot float64
				for j := range dim {
					dot += float64(w[i+j]) * float64(got[i+j])
				}
				if !(dot >= least) || dot > 1+1e-6 {
					t.Errorf("%s, %s: the cosine of text %d is %v, want %v at least", p.name, how, rows[0]+i/dim, dot, least)
				}
			}
		}
	}
}

// The reference library's ids are gomai's.
func TestSplits(t *testing.T) {
	c := libraries(t)
	own, err := tokenizer.Open(encoder.Folder() + "/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range encoder.Splits() {
		var want []int32
		for _, text := range s.Texts {
			out, err := own.Tokenize(text)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, out.IDs...)
		}
		first := c.Cases
		for i := range splits(c, s).Cases[1:] {
			got, err := c.Result(first + i)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("%s: %d ids, want %d", s.Name, len(got), len(want))
			}
			for j, id := range want {
				if got[j] != float64(id) {
					t.Fatalf("%s: id %d is %v, want %d", s.Name, j, got[j], id)
				}
			}
		}
	}
}

// What cannot be had is absent, and the next request is understood.
func TestAbsent(t *testing.T) {
	c := libraries(t)
	if k := open(c, bench.Case{Name: "nobody's"}, "nobody", "each", 1, nil); k.Absent == "" || k.Open != nil {
		t.Errorf("a case of no library is %+v", k)
	}
	k := open(c, bench.Case{Name: "k"}, "ort-int8", "each", 1, [][]int32{encoder.IDs(8)})
	if k.Absent != "" {
		t.Fatal(k.Absent)
	}
	round, _, err := k.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := round(func(ns float64) {
		if !(ns > 1000) {
			t.Errorf("8 tokens in %v ns", ns)
		}
	}); err != nil {
		t.Error(err)
	}
}

func TestSummary(t *testing.T) {
	var results []bench.Result
	for _, l := range encoder.Latencies {
		for i, name := range []string{encoder.Gomai, peers[0].name, peers[1].name, peers[2].name, peers[3].name, peers[4].name} {
			results = append(results, bench.Result{Group: l.Name(), Name: name, Samples: []float64{float64((7 - i) * 1000)}})
		}
	}
	results[1].Absent, results[1].Samples = "not here", nil
	rows := summary(results)
	if got, want := fmt.Sprint(rows[1]), "[8 tokens 7.00 µs not here 5.00 µs 4.00 µs 3.00 µs 2.00 µs 0.3]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(rows) != len(encoder.Latencies)+1 || len(rows[0]) != len(rows[1]) {
		t.Errorf("%d rows, of %d and %d cells", len(rows), len(rows[0]), len(rows[1]))
	}
}

// TestPage: the page has a line for every case.
func TestPage(t *testing.T) {
	c := libraries(t)
	page, err := os.ReadFile("../../../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "<!-- section encoder -->")
	section, _, _ = strings.Cut(section, "<!-- end of section encoder -->")
	groups, err := groups(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		_, table, ok := strings.Cut(section, fmt.Sprintf("### %s\n\n%s\n", g.Name, g.About))
		if !ok {
			t.Errorf("docs/BENCHMARKS.md does not say of %s what the suite says", g.Name)
			continue
		}
		table, _, _ = strings.Cut(table, "###")
		for _, k := range g.Cases {
			if !strings.Contains(table, "| "+k.Name+" ") {
				t.Errorf("docs/BENCHMARKS.md has no line for %s: %s", g.Name, k.Name)
			}
		}
	}
}
