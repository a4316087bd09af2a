package bench

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/maida-ai/gomai/internal/cpu"
)

// Program prints the tables of groups.
type Program struct {
	Section string // the part of docs/BENCHMARKS.md that they stand in
	Command string // what a reader types to get them
	Groups  []Group
	// Summary, if any, makes a short table of all results, for the section of the same name in the README.
	Summary func(results []Result) [][]string
}

// Main is the main function of p.
func (p Program) Main() {
	write := flag.String("write", "", "replace the section «"+p.Section+"» of this `FILE` instead of printing it")
	summary := flag.String("summary", "", "replace the section «"+p.Section+"» of this `FILE` by a short table, where there is one")
	filter := flag.String("filter", "", "only groups whose name matches this `RE`")
	rounds := flag.Int("rounds", 0, "rounds of every group; 0: its own number")
	asJSON := flag.Bool("json", false, "print JSON instead of tables")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("an argument that is no flag: %q", flag.Arg(0))
	case *rounds < 0:
		err = fmt.Errorf("-rounds %d: must be at least 0", *rounds)
	case *summary != "" && p.Summary == nil:
		err = errors.New("-summary: there is no short table of these groups")
	default:
		err = p.report(*write, *summary, *filter, *rounds, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (p Program) report(write, summary, filter string, rounds int, asJSON bool) error {
	if (write != "" || summary != "") && (filter != "" || asJSON) {
		return errors.New("a section has the tables of all groups: -write and -summary exclude -filter and -json")
	}
	// What MAI_CPU asks for and this machine cannot do is no measurement.
	level, err := cpu.Detect()
	if err != nil {
		return err
	}
	re, err := regexp.Compile(filter)
	if err != nil {
		return err
	}
	var chosen []Group
	for _, g := range p.Groups {
		if re.MatchString(g.Name) {
			chosen = append(chosen, g)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-filter %q: no group matches", filter)
	}
	results, figures, err := Run(chosen, rounds)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(os.Stdout, level, chosen, results, figures)
	}
	if summary != "" {
		var b bytes.Buffer
		table(&b, p.Summary(results))
		fmt.Fprintf(&b, "\n`%s`: %s\n", p.Command, machine(level))
		if err := rewrite(summary, p.Section, b.String()); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "`%s`\n\n%s\n", p.Command, machine(level))
	Tables(&b, chosen, results, figures)
	if write != "" {
		return rewrite(write, p.Section, b.String())
	}
	_, err = b.WriteTo(os.Stdout)
	return err
}

// rewrite replaces a section of a file.
func rewrite(file, name, section string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replace(string(old), name, section)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// replace returns text with a new section: what stands between the lines
// <!-- section NAME --> and <!-- end of section NAME -->.
func replace(text, name, section string) (string, error) {
	begin, end := "<!-- section "+name+" -->\n", "<!-- end of section "+name+" -->\n"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + section + end + after, nil
}

// machine is a line about where and when. The level is that of the primitives.
func machine(level cpu.Level) string {
	return fmt.Sprintf("%s, level %s, %d cores in use, %s %s/%s, %s.", processor(), level,
		runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().UTC().Format(time.DateOnly))
}

// processor is its name, or its architecture where the system does not say.
func processor() string {
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); m != nil {
			return string(m[1])
		}
	}
	return runtime.GOARCH
}

// Tables prints figures with their limits and then every case, in Markdown that reads well as it is.
func Tables(w io.Writer, groups []Group, results []Result, figures []Figure) {
	if len(figures) > 0 {
		rows := [][]string{{"group", "figure", "measured", "limit", "holds"}}
		for _, f := range figures {
			what, measured, bound := f.describe(results)
			holds := map[bool]string{true: "yes", false: "**no**"}[f.Holds()]
			if f.Absent != "" {
				measured, holds = f.Absent, "?"
			}
			rows = append(rows, []string{f.Group, what, measured, bound, holds})
		}
		fmt.Fprintln(w)
		table(w, rows)
	}
	for _, g := range groups {
		fmt.Fprintf(w, "\n### %s\n\n%s\n\n", g.Name, g.About)
		var own []Result
		for _, r := range results {
			if r.Group == g.Name {
				own = append(own, r)
			}
		}
		table(w, g.rows(own))
	}
}

// describe returns a figure in words: what it is, what was measured, what it may be.
func (f Figure) describe(results []Result) (what, measured, bound string) {
	sign := "≤ "
	if f.AtLeast {
		sign = "≥ "
	}
	switch f.Of {
	case "":
		unit := ""
		for _, r := range results {
			if r.Group == f.Group && r.Name == f.Case {
				unit = r.Unit
			}
		}
		return fmt.Sprintf("%s, %s", f.Case, f.Stat), value(f.Value, unit), sign + value(f.Bound, unit)
	case plain:
		return fmt.Sprintf("%s, %s", f.Case, f.Stat), digits(f.Value) + " K", sign + fmt.Sprint(f.Bound, " K")
	}
	return fmt.Sprintf("%s / %s, %s", f.Case, f.Of, f.Stat), digits(f.Value), sign + fmt.Sprint(f.Bound)
}

// rows is the table of a group: each case in its unit, and as a multiple of the first.
func (g Group) rows(results []Result) [][]string {
	stats := []Stat{Min, Median}
	if g.Single {
		stats = []Stat{Min, Median, P99, P999, Max}
		if len(results[0].Samples) < 100 {
			stats = []Stat{Min, Median, Max}
		}
	}
	if g.Stats != nil {
		stats = g.Stats
	}
	head := []string{"case"}
	coded := slices.ContainsFunc(results, func(r Result) bool { return r.Code != "" })
	if coded {
		head = append(head, "code")
	}
	for _, s := range stats {
		head = append(head, string(s))
	}
	switch {
	case g.Rate != "":
		head = append(head, g.Rate+" at min")
	case results[0].Unit == "" && len(g.Cases) > 1:
		head = append(head, "min / "+results[0].Name, "median / "+results[0].Name)
	}
	rows := [][]string{head}
	for _, r := range results {
		row := []string{r.Name}
		if coded {
			row = append(row, r.Code)
		}
		if r.Absent != "" {
			row = append(row, r.Absent)
			rows = append(rows, append(row, make([]string, len(head)-len(row))...))
			continue
		}
		for _, s := range stats {
			row = append(row, value(r.Stat(s), r.Unit))
		}
		if g.Rate != "" {
			rows = append(rows, append(row, digits(r.Rate(Min))))
			continue
		}
		for _, s := range []Stat{Min, Median}[:len(head)-len(row)] {
			row = append(row, digits(r.Stat(s)/results[0].Stat(s)))
		}
		rows = append(rows, row)
	}
	return rows
}

// Duration prints nanoseconds with about three digits.
func Duration(ns float64) string { return value(ns, "") }

// value prints v in its unit with about three digits.
func value(v float64, unit string) string {
	switch {
	case unit == "":
		for _, u := range []struct {
			ns   float64
			name string
		}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
			if v >= u.ns {
				return digits(v/u.ns) + " " + u.name
			}
		}
		return digits(v) + " ns"
	case unit == Cosine:
		return fmt.Sprintf("%.4f", v)
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return digits(v) + " " + unit
}

func digits(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// table prints rows, the first of which is the head, as an aligned Markdown table.
func table(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	for i, row := range rows {
		fmt.Fprintf(t, "| %s\t|\n", strings.Join(row, "\t| "))
		if i == 0 {
			fmt.Fprintf(t, "|%s\n", strings.Repeat("---\t|", len(row)))
		}
	}
	t.Flush()
}
