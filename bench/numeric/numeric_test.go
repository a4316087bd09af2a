package numeric

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
)

// Every case runs, at the level that it names, or says why not; every limit is about cases that are there.
func TestSuite(t *testing.T) {
	before, _ := cpu.Detect()
	groups := Groups()
	results, figures, err := bench.Run(groups, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Absent != "" {
			continue
		}
		if len(r.Samples) != 1 || !(r.Samples[0] > 0) || !(r.Rate(bench.Min) > 0) {
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
	if after, _ := cpu.Detect(); after != before {
		t.Errorf("the level was %v and is %v", before, after)
	}
}

// A level of this machine is measured at that level, another is absent.
func TestAtLevel(t *testing.T) {
	for l := cpu.Generic; l <= cpu.AMX; l++ {
		ran := cpu.AMX + 1
		c := atLevel(l, "DotI8", bench.Case{Open: opened(1, func() { ran, _ = cpu.Detect() })})
		if !has(l) {
			if c.Absent == "" || c.Open != nil {
				t.Errorf("%v is not absent", l)
			}
			continue
		}
		round, _, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		ran = cpu.AMX + 1
		if err := round(func(float64) {}); err != nil || ran != l {
			t.Errorf("%v ran at %v, %v", l, ran, err)
		}
	}
}

func has(l cpu.Level) bool {
	for _, have := range cpu.Levels() {
		if have == l {
			return true
		}
	}
	return false
}

// The functions compute what their names say.
func TestVectors(t *testing.T) {
	for _, v := range Vectors {
		var ab, aa, bb float64
		for i := range v.N {
			var x, y float64
			if v.A != nil {
				x, y = float64(v.A[i]), float64(v.B[i])
			} else {
				x, y = float64(v.AI8[i]), float64(v.BI8[i])
			}
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		want := ab
		if strings.HasPrefix(v.Name, "cosine") {
			want /= math.Sqrt(aa * bb)
		}
		if got := v.Call(); !(math.Abs(got-want) <= 1e-5*math.Sqrt(aa*bb)) {
			t.Errorf("%s is %v, want %v", v.Name, got, want)
		}
	}
}

// Nothing that is measured allocates.
func TestAllocations(t *testing.T) {
	check := func(name string, calls int, open func() (bench.Round, func(), error)) {
		round, _, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(2, func() { round(func(float64) {}) }); n >= float64(calls) {
			t.Errorf("%s allocates %v times in %d calls", name, n, calls)
		}
	}
	for _, v := range Vectors {
		check(v.Name, VectorCalls, inARow(VectorCalls, func(n int) { v.calls(v, n) }))
	}
	for _, s := range Searches {
		for _, m := range s.Metrics() {
			check(By(s.Name, m), s.Calls(), s.open(m))
		}
	}
	for _, s := range floatShapes {
		check(s.String()+", f32", s.callsF32(), s.openF32)
	}
	for _, s := range append(shapesOf8, shapes...) {
		check(s.String(), s.Calls(), s.open)
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
