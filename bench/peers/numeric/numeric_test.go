package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/bench/numeric"
	"github.com/maida-ai/gomai/bench/peers/child"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/metrics/search"
)

// libraries starts the program of setup.sh.
func libraries(t *testing.T, env ...string) *child.Child {
	t.Helper()
	c, err := child.Start("build/peers", nil, env...)
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

// computed returns what a case computes, the last that was opened. It skips the test if the library could
// not be had.
func computed(t *testing.T, c *child.Child, k bench.Case) []float64 {
	t.Helper()
	if k.Absent != "" {
		t.Skipf("%s: %s", k.Name, k.Absent)
	}
	got, err := c.Result(c.Cases - 1)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSimSIMD(t *testing.T) {
	c := libraries(t)
	for _, v := range numeric.Vectors {
		got := computed(t, c, withSimSIMD(c, bench.Group{}, v).Cases[0])
		want := v.Call()
		if v.Primitive == "CosineF32" {
			want = 1 - want
		}
		if len(got) != 1 || !(math.Abs(got[0]-want) <= 1e-4*math.Sqrt(float64(v.N))) {
			t.Errorf("%s is %v, gomai's is %v", v.Name, got, want)
		}
	}
}

// USearch finds the same rows, or others as good: equal numbers of bits are in no order there.
func TestUSearch(t *testing.T) {
	c := libraries(t)
	for _, s := range numeric.Searches {
		first := c.Cases
		g := withUSearch(c, bench.Group{}, s)
		for i, k := range g.Cases {
			if k.Absent != "" {
				t.Fatalf("%s is absent", k.Name)
			}
			find, err := s.Prepare(s.Metrics()[i*len(s.Metrics())/len(g.Cases)])
			if err != nil {
				t.Fatal(err)
			}
			hits, err := find()
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Result(first + i)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(hits) {
				t.Fatalf("%s, %s: %d rows", s.Name, k.Name, len(got))
			}
			for j, h := range hits {
				row := int(got[j])
				same := row == h.Row
				if s.Kind == search.Binary {
					same = differing(s.Data(), row) == h.Score
				}
				if !same {
					t.Errorf("%s, %s: number %d is row %d, want %d", s.Name, k.Name, j, row, h.Row)
				}
			}
		}
	}
}

// differing returns in how many bits a row differs from the query.
func differing(d numeric.Rows, row int) float32 {
	n := 0
	for i, w := range d.Bits {
		n += bits.OnesCount64(w ^ d.RowsBits[row*len(d.Bits)+i])
	}
	return float32(n)
}

// oneDNN's sums are right at every level, but at AVX2 only for activations of seven bits.
func TestOneDNN(t *testing.T) {
	for _, p := range numeric.IntegerProducts {
		if !slices.Contains(cpu.Levels(), p.Level) {
			continue
		}
		t.Run(p.Level.String(), func(t *testing.T) {
			c := libraries(t, "ONEDNN_MAX_CPU_ISA="+isa[p.Level])
			for _, s := range []numeric.Shape{p.Shapes[0], {M: 5, K: 70, N: 33}} {
				o := s.Operands()
				if p.Level == cpu.AVX2 {
					for i := range o.Activations {
						o.Activations[i] /= 2
					}
				}
				got := computed(t, c, openOneDNN(c, "oneDNN", s, o))
				if len(got) != s.M*s.N {
					t.Fatalf("%v: %d results", s, len(got))
				}
				for i := range got {
					row, column := i/s.N, i%s.N
					var sum int
					for k := range s.K {
						sum += int(o.Activations[row*s.K+k]) * int(o.Weights[column*s.K+k])
					}
					scaled := float64(sum) * float64(o.Scales[column])
					if want := scaled + float64(o.Bias[column]); !(math.Abs(got[i]-want) <= 1e-6*math.Abs(scaled)+1e-6) {
						t.Fatalf("%v: result %d is %v, want %v", s, i, got[i], want)
					}
				}
			}
		})
	}
}

// What a library does not have is absent, and the next request is understood.
func TestAbsent(t *testing.T) {
	c := libraries(t)
	k := c.Open(bench.Case{Name: "k"}, 1, nil, "nobody")
	if k.Absent == "" || k.Open != nil {
		t.Errorf("a case of no library is %+v", k)
	}
	v := numeric.Vectors[0]
	if got := computed(t, c, withSimSIMD(c, bench.Group{}, v).Cases[0]); len(got) != 1 {
		t.Errorf("then %s is %v", v.Name, got)
	}
}

// TestPage: the page has a line for every case, also where there are no libraries.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "<!-- section numeric -->")
	section, _, _ = strings.Cut(section, "<!-- end of section numeric -->")
	groups, done, err := groups("build/peers")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer done()
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
