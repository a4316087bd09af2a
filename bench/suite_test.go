package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/layers"
)

// TestSuite runs every kind of group once, with small crowds.
func TestSuite(t *testing.T) {
	groups := []Group{noops(), branches(1), branches(100), neighbour(), waves(100), beside(100), pending(4, 25), allocations()}
	results, figures, err := Run(groups, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if len(r.Samples) == 0 {
			t.Errorf("%s: %s has no samples", r.Group, r.Name)
		}
		for _, v := range r.Samples {
			if math.IsNaN(v) || math.IsInf(v, 0) || r.Unit == "" && v <= 0 {
				t.Errorf("%s: %s has the sample %v", r.Group, r.Name, v)
			}
		}
	}
	limits := 0
	for _, g := range groups {
		limits += len(g.Limits)
	}
	if len(figures) != limits {
		t.Errorf("%d figures of %d limits", len(figures), limits)
	}
	var b strings.Builder
	Tables(&b, groups, results, figures)
	for _, r := range results {
		if !strings.Contains(b.String(), "\n| "+r.Name+" ") {
			t.Errorf("the tables have no line for %s", r.Name)
		}
	}
}

// What is compared must do the same.
func TestGraphs(t *testing.T) {
	ctx, cancel := request()
	defer cancel()
	for _, in := range Inputs[:20] {
		if got, want := call(t, ctx, Chain(), in), in+45; got != want {
			t.Errorf("chain of %d = %d, want %d", in, got, want)
		}
		if got, want := call(t, ctx, Diamond(), in), 8*(in+9)+28; got != want {
			t.Errorf("diamond of %d = %d, want %d", in, got, want)
		}
		if got := call(t, ctx, ForkJoin(64), in); len(got) != 64 || got[0] != in || got[63] != in+63 {
			t.Errorf("fork-join of %d = %d", in, got)
		}
		want := make([]int64, 8)
		for i := range want {
			want[i] = Spin(1, in+int64(i))
		}
		if got := call(t, ctx, Branches(1), in); !slices.Equal(got, want) {
			t.Errorf("branches of %d = %d, want %d", in, got, want)
		}
	}
}

func call[O any](t *testing.T, ctx context.Context, m layers.Module[int64, O], in int64) O {
	t.Helper()
	e, err := layers.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	out, err := e.Call(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// script is a group of cases whose samples are given, and that note when they run.
func script(log *[]string, samples map[string][]float64, limits ...Limit) Group {
	g := Group{Name: "script", Rounds: 3, Limits: limits}
	g.Beside = func() func() {
		*log = append(*log, "beside")
		return func() { *log = append(*log, "alone") }
	}
	for _, name := range []string{"a", "b"} {
		n := 0
		g.Cases = append(g.Cases, Case{Name: name, Open: func() (Round, func(), error) {
			return func(sample func(float64)) error {
				*log = append(*log, name)
				sample(samples[name][n])
				n++
				return nil
			}, func() { *log = append(*log, "close "+name) }, nil
		}})
	}
	return g
}

func TestRunTakesTurns(t *testing.T) {
	var log []string
	g := script(&log, map[string][]float64{"a": {3, 1, 2}, "b": {40, 60, 50}},
		Limit{Case: "b", Of: "a", Stat: Min, Bound: 40},
		Limit{Case: "b", Of: "a", Stat: Median, Bound: 24},
		Limit{Case: "b", Of: "a", Stat: Max, Bound: 21, AtLeast: true},
		Limit{Case: "b", Stat: Max, Bound: 60, AtLeast: true},
	)
	results, figures, err := Run([]Group{g}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(log, " "), "beside a b a b a b alone close b close a"; got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
	if want := []float64{1, 2, 3}; !slices.Equal(results[0].Samples, want) {
		t.Errorf("samples %v, want %v", results[0].Samples, want)
	}
	for i, want := range []struct {
		value float64
		holds bool
	}{{40, true}, {25, false}, {20, false}, {60, true}} {
		if f := figures[i]; f.Value != want.value || f.Holds() != want.holds {
			t.Errorf("figure %d is %v, holds %v; want %v", i, f.Value, f.Holds(), want)
		}
	}
}

func TestRunFails(t *testing.T) {
	broken := errors.New("broken")
	ok := func(sample func(float64)) error { sample(1); return nil }
	for name, g := range map[string]Group{
		"open":  {Name: "g", Cases: []Case{{Name: "c", Open: func() (Round, func(), error) { return nil, nil, broken }}}},
		"round": {Name: "g", Cases: []Case{{Name: "c", Open: func() (Round, func(), error) { return func(func(float64)) error { return broken }, nil, nil }}}},
		"limit": {Name: "g", Limits: []Limit{{Case: "c", Of: "other"}}, Cases: []Case{{Name: "c", Open: func() (Round, func(), error) { return ok, nil, nil }}}},
	} {
		_, _, err := Run([]Group{g}, 1)
		if err == nil || !strings.HasPrefix(err.Error(), "g: ") || name != "limit" && !errors.Is(err, broken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestStats(t *testing.T) {
	var r Result
	for i := range 1000 {
		r.add(float64(i + 1))
	}
	for s, want := range map[Stat]float64{Min: 1, Median: 500, P99: 990, P999: 999, Max: 1000, Tail: 999.0 / 500} {
		if got := r.Stat(s); got != want {
			t.Errorf("%s = %v, want %v", s, got, want)
		}
	}
	if got := (Result{}).Stat(Max); !math.IsNaN(got) {
		t.Errorf("the maximum of nothing is %v", got)
	}
}

func TestReport(t *testing.T) {
	var log []string
	g := script(&log, map[string][]float64{"a": {3, 1, 2}, "b": {4000, 6e6, 5e9}},
		Limit{Case: "b", Of: "a", Stat: Min, Bound: 3999},
		Limit{Case: "a", Stat: Max, Bound: 5})
	g.About = "Numbers."
	results, figures, err := Run([]Group{g}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	Tables(&b, []Group{g}, results, figures)
	want := `
| group  | figure     | measured | limit     | holds  |
|---     |---         |---       |---        |---     |
| script | b / a, min | 4000     | ≤ 3999    | **no** |
| script | a, max     | 3.00 ns  | ≤ 5.00 ns | yes    |

### script

Numbers.

| case | min     | median  | min / a | median / a |
|---   |---      |---      |---      |---         |
| a    | 1.00 ns | 2.00 ns | 1.00    | 1.00       |
| b    | 4.00 µs | 6.00 ms | 4000    | 3000000    |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// A group with a Rate compares speeds, and lists what is absent.
func TestReportOfRates(t *testing.T) {
	g := Group{
		Name: "speeds", About: "Speeds.", Rounds: 1, Rate: "GB/s",
		Cases: []Case{
			{Name: "a", Code: "wide", Work: 100, Open: given(20)},
			{Name: "b", Code: "narrow", Work: 300, Open: given(100)},
			{Name: "c", Absent: "not here"},
		},
		Limits: []Limit{
			{Case: "a", Of: "b", Stat: Min, Bound: 1.5, AtLeast: true},
			{Case: "a", Of: "c", Stat: Min, Bound: 2, AtLeast: true},
			{Case: "c", Of: "a", Stat: Min, Bound: 2},
		},
	}
	results, figures, err := Run([]Group{g}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	Tables(&b, []Group{g}, results, figures)
	want := `
| group  | figure     | measured | limit | holds |
|---     |---         |---       |---    |---    |
| speeds | a / b, min | 1.67     | ≥ 1.5 | yes   |
| speeds | a / c, min | not here | ≥ 2   | ?     |
| speeds | c / a, min | not here | ≤ 2   | ?     |

### speeds

Speeds.

| case | code   | min      | median  | GB/s at min |
|---   |---     |---       |---      |---          |
| a    | wide   | 20.0 ns  | 20.0 ns | 5.00        |
| b    | narrow | 100 ns   | 100 ns  | 3.00        |
| c    |        | not here |         |             |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}

	b.Reset()
	if err := writeJSON(&b, cpu.Generic, []Group{g}, results, figures); err != nil {
		t.Fatal(err)
	}
	var report jsonReport
	if err := json.Unmarshal([]byte(b.String()), &report); err != nil {
		t.Fatal(err)
	}
	if report.Machine.Level != cpu.Generic.String() {
		t.Errorf("level %q", report.Machine.Level)
	}
	a, c := report.Cases[0], report.Cases[2]
	if *a.Min != 20 || *a.Rate != 5 || a.RateUnit != "GB/s" || a.Unit != "ns" || c.Absent != "not here" || c.Min != nil {
		t.Errorf("cases %+v, %+v", a, c)
	}
	if f := report.Figures; !f[0].Holds || *f[0].Value != 5.0/3 || f[1].Holds || f[1].Value != nil || f[2].Holds || f[2].Absent != "not here" {
		t.Errorf("figures %+v", f)
	}
}

// TestMainRefuses runs Main in a process of its own: this test again, told so by a variable.
func TestMainRefuses(t *testing.T) {
	const variable = "BENCH_TEST_ARGUMENTS"
	if args, ok := os.LookupEnv(variable); ok {
		os.Args = append([]string{"bench"}, strings.Fields(args)...)
		flag.CommandLine = flag.NewFlagSet("bench", flag.ExitOnError)
		Program{Section: "x", Command: "go run x", Groups: []Group{{Name: "speeds", Rounds: 1, Cases: []Case{{Name: "a", Open: given(20)}}}}}.Main()
		os.Exit(0)
	}
	for _, c := range []struct {
		args, level, want string // of stdout and stderr
		ok                bool
	}{
		{"", "generic", "level generic,", true},
		{"-filter speed -rounds 2", "generic", "| a ", true},
		{"-json", "generic", `"level": "generic"`, true},
		{"", "nonsense", "nonsense", false},
		{"-json", "nonsense", "nonsense", false},
		{"-filter nonsense", "generic", `-filter "nonsense": no group matches`, false},
		{"-rounds -1", "generic", "-rounds -1: must be at least 0", false},
		{"-summary nowhere", "generic", "-summary: there is no short table", false},
		{"speeds", "generic", `no flag: "speeds"`, false},
		{"-json speeds", "generic", `no flag: "speeds"`, false},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMainRefuses$")
		cmd.Env = append(os.Environ(), variable+"="+c.args, cpu.Env+"="+c.level)
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.ok || !strings.Contains(string(out), c.want) || !c.ok && strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s=%s %q: %v\n%s", cpu.Env, c.level, c.args, err, out)
		}
	}
}

// given opens a case with one sample.
func given(sample float64) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		return func(take func(float64)) error { take(sample); return nil }, nil, nil
	}
}

// A group may choose its columns; cosines have four digits.
func TestReportOfCosines(t *testing.T) {
	g := Group{
		Name: "cosines", About: "Cosines.", Rounds: 3, Stats: []Stat{Min, Mean},
		Cases: []Case{{Name: "a", Unit: Cosine, Open: func() (Round, func(), error) {
			next := 0.99
			return func(take func(float64)) error { take(next); next += 0.004; return nil }, nil, nil
		}}},
		Limits: []Limit{{Case: "a", Stat: Mean, Bound: 0.9945, AtLeast: true}},
	}
	results, figures, err := Run([]Group{g}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	Tables(&b, []Group{g}, results, figures)
	want := `
| group   | figure  | measured | limit    | holds  |
|---      |---      |---       |---       |---     |
| cosines | a, mean | 0.9940   | ≥ 0.9945 | **no** |

### cosines

Cosines.

| case | min    | mean   |
|---   |---     |---     |
| a    | 0.9900 | 0.9940 |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// Both files get their sections.
func TestWriteAndSummary(t *testing.T) {
	page, readme := filepath.Join(t.TempDir(), "page"), filepath.Join(t.TempDir(), "readme")
	for _, f := range []string{page, readme} {
		if err := os.WriteFile(f, []byte("a\n<!-- section x -->\nold\n<!-- end of section x -->\nb\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := Program{
		Section: "x", Command: "go run x", Groups: []Group{{Name: "speeds", Rounds: 1, Cases: []Case{{Name: "a", Open: given(20)}}}},
		Summary: func(r []Result) [][]string {
			return [][]string{{"case", "time"}, {r[0].Name, Duration(r[0].Stat(Min))}}
		},
	}
	if err := p.report(page, readme, "", 0, false); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{page: "### speeds\n", readme: "| a    | 20.0 ns |\n"} {
		got, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(got), want) || strings.Contains(string(got), "old") || !strings.HasSuffix(string(got), "\nb\n") {
			t.Errorf("%s, %v has no %q", got, err, want)
		}
	}
	if err := p.report("", readme, "speeds", 0, false); err == nil {
		t.Error("a summary of some groups was written")
	}
}

func TestReplace(t *testing.T) {
	const text = "a\n<!-- section x -->\nold\n<!-- end of section x -->\nb\n"
	got, err := replace(text, "x", "new\n")
	if want := strings.Replace(text, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"y", "section x"} {
		if _, err := replace(text, bad, "new"); err == nil {
			t.Errorf("section %q was found", bad)
		}
	}
}

// The page has a table of every group; who adds one makes the page again.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range Groups() {
		for _, c := range g.Cases {
			if !strings.Contains(string(page), "| "+c.Name+" ") {
				t.Errorf("docs/BENCHMARKS.md has no line for %s: %s", g.Name, c.Name)
			}
		}
		if !strings.Contains(string(page), fmt.Sprintf("### %s\n\n%s\n", g.Name, g.About)) {
			t.Errorf("docs/BENCHMARKS.md does not say of %s what the suite says", g.Name)
		}
	}
}
