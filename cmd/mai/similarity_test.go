package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/metrics"
)

func TestSimilarity(t *testing.T) {
	const a, b = "hello world", "good cat"
	e := records[embedRecord](t, run(t, "", "embed", "--model", tiny, a, b))
	if len(e) != 2 {
		t.Fatal("embed failed")
	}
	for _, name := range metrics.Names() {
		metric, _ := metrics.ByName(name)
		want := metric(e[0].Embedding, e[1].Embedding)

		r := run(t, "", "similarity", "--model", tiny, "--metric", name, a, b)
		r.expect(t, 0)
		r.silent(t)
		if s := fmt.Sprintf("%.6f\n", want); r.stdout != s {
			t.Errorf("%s: %q, want %q", name, r.stdout, s)
		}

		r = run(t, "", "similarity", "--json", "--model", tiny, "--metric", name, a, b)
		r.expect(t, 0)
		if got := records[similarityRecord](t, r); len(got) != 1 || got[0] != (similarityRecord{name, want}) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// All doors give the same scores, those of single calls, in the order of the pairs.
func TestSimilarityFile(t *testing.T) {
	var tsv, jsonl, plain, wide strings.Builder
	var all []pair
	for i := range 2*maxBatch + 5 {
		p := pair{fmt.Sprintf("cat %d <&>", i), fmt.Sprintf("the dog sat %d", i*i)}
		if i%7 == 0 {
			p.b = ""
		}
		all = append(all, p)
		fmt.Fprintf(&tsv, "%s\t%s\n", p.a, p.b)
		j, err := json.Marshal(map[string]string{"a": p.a, "b": p.b})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&jsonl, "%s\n\n", j)
	}
	for _, metric := range metrics.Names() {
		common := []string{"similarity", "--model", tiny, "--metric", metric}
		with := func(args ...string) []string { return slices.Concat(common, args) }

		r := run(t, "", with("--json", "--file", write(t, "p.tsv", tsv.String()))...)
		r.expect(t, 0)
		r.silent(t)
		got := records[pairRecord](t, r)
		if len(got) != len(all) {
			t.Fatalf("%d records of %d pairs", len(got), len(all))
		}
		plain.Reset()
		for i, g := range got {
			if g.Index != i || g.Metric != metric {
				t.Errorf("record %d is %+v", i, g)
			}
			fmt.Fprintf(&plain, "%.6f\t%s\t%s\n", g.Score, all[i].a, all[i].b)
		}
		for _, i := range []int{0, 1, maxBatch - 1, maxBatch, len(all) - 1} {
			r := run(t, "", with("--json", all[i].a, all[i].b)...)
			r.expect(t, 0)
			if single := records[similarityRecord](t, r); len(single) != 1 || single[0] != got[i].similarityRecord {
				t.Errorf("pair %d: %+v from a file, %+v alone", i, got[i], single)
			}
		}

		wide.Reset()
		wide.WriteString(r.stdout)
		for _, c := range []struct {
			name, stdin, want string
			args              []string
		}{
			{"tsv", "", plain.String(), with("--file", write(t, "p.tsv", tsv.String()))},
			{"tsv stdin", tsv.String(), plain.String(), with("--file", "-")},
			{"tsv called jsonl", "", plain.String(), with("--file", write(t, "p.jsonl", tsv.String()), "--jsonl=false")},
			{"jsonl", "", plain.String(), with("--file", write(t, "p.jsonl", jsonl.String()))},
			{"jsonl stdin, JSON", jsonl.String(), wide.String(), with("--file", "-", "--jsonl", "--json")},
		} {
			if r := run(t, c.stdin, c.args...); r.code != 0 || r.stdout != c.want || r.stderr != "" {
				t.Errorf("%s, %s: exit code %d, or other output: %s%s", metric, c.name, r.code, clip(r.stderr), clip(r.stdout))
			}
		}
	}
}

func TestSimilarityControls(t *testing.T) {
	const line = `{"a": "x\u001b[2J", "b": "y\tz\u2069"}`
	r := run(t, line, "similarity", "--model", tiny, "--file", "-", "--jsonl")
	r.expect(t, 0)
	if _, texts, _ := strings.Cut(r.stdout, "\t"); texts != "x\\x1b[2J\ty z\\u2069\n" {
		t.Errorf("got %q", r.stdout)
	}
}

func TestBadPairs(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		code  int
		want  int // lines of output
		words []string
	}{
		{"no such file", []string{"--file", "no/such/file"}, "", exitInput, 0, []string{"no/such/file"}},
		{"a directory", []string{"--file", t.TempDir()}, "", exitInput, 0, []string{"directory"}},
		{"an empty file", []string{"--file", write(t, "empty.tsv", "")}, "", 0, 0, []string{"empty.tsv holds no pair"}},
		{"nothing but blank JSON lines", []string{"--file", "-", "--jsonl"}, "\n \n", 0, 0, []string{"stdin holds no pair"}},
		{"no tab", []string{"--file", write(t, "bad.tsv", "a\tb\n\t\nab\nc\td\n")}, "", exitInput, 2, []string{"bad.tsv: line 3: 0 tabs"}},
		{"a blank line", []string{"--file", "-"}, "a\tb\n\nc\td\n", exitInput, 1, []string{"stdin: line 2: 0 tabs"}},
		{"a third field", []string{"--file", "-"}, "a\tb\nc\td\te", exitInput, 1, []string{"stdin: line 2: 2 tabs"}},
		{"a bad line beyond the first batch", []string{"--file", "-"}, strings.Repeat("a\tb\n", 3*maxBatch) + "c", exitInput, 3 * maxBatch, []string{"stdin: line 193: 0 tabs"}},
		{"the last line has no end", []string{"--file", "-"}, "a\tb\nc\td", 0, 2, nil},
		{"Windows", []string{"--file", "-"}, "\ufeffa\tb\r\nc\td\r\n", 0, 2, nil},
		{"broken JSON", []string{"--file", "-", "--jsonl"}, `{"a": "x", "b": "y"}` + "\n{a", exitInput, 1, []string{"stdin: line 2: offset 22: broken JSON"}},
		{"wrong type", []string{"--file", "-", "--jsonl"}, `{"a": "x", "b": 1}`, exitInput, 0, []string{`stdin: line 1: offset 17: "b": a JSON number where string is expected`}},
		{"a field is missing", []string{"--file", write(t, "bad.JSONL", `{"a": "x"}`)}, "", exitInput, 0, []string{`bad.JSONL: line 1: "b": missing, or null`}},
		{"a field is null", []string{"--file", "-", "--jsonl"}, `{"a": null, "b": "x"}`, exitInput, 0, []string{`stdin: line 1: "a": missing, or null`}},
		{"JSON but no object", []string{"--file", "-", "--jsonl"}, `["x", "y"]`, exitInput, 0, []string{"stdin: line 1: offset"}},
		{"JSON that is no UTF-8", []string{"--file", "-", "--jsonl"}, "{\"a\": \"\xff\", \"b\": \"\"}", exitInput, 0, []string{"stdin: line 1: offset 7: not UTF-8"}},
		{"JSON lines taken for pairs", []string{"--file", write(t, "f.jsonl", `{"a": "x", "b": "y"}`), "--jsonl=false"}, "", exitInput, 0, []string{"f.jsonl: line 1: 0 tabs"}},
		{"no UTF-8", []string{"--file", "-"}, "cat\tdog\ncat\tcaf\xe9\n\xff\tcat\n", 0, 3, []string{"text b of pair 1 is not UTF-8", "2 of 6 texts are not UTF-8"}},
		{"arguments that are no UTF-8", []string{"cat", "\xff"}, "", 0, 1, []string{"text 1 is not UTF-8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, c.stdin, append([]string{"similarity", "--model", tiny}, c.args...)...)
			r.expect(t, c.code, c.words...)
			if len(c.words) == 0 {
				r.silent(t)
			}
			if got := strings.Count(r.stdout, "\n"); got != c.want {
				t.Errorf("%d lines, want %d: %s", got, c.want, clip(r.stdout))
			}
		})
	}
}

// A line of output has three fields whatever the texts hold, and shows each text as the model read it.
func TestSimilarityFields(t *testing.T) {
	r := run(t, `{"a": "cat\tsat\r\n", "b": "dog\u0000"}`, "similarity", "--model", tiny, "--jsonl", "--file", "-")
	r.expect(t, 0)
	single := run(t, "", "similarity", "--model", tiny, "cat\tsat\r\n", "dog")
	if want := strings.TrimSpace(single.stdout) + "\tcat sat  \tdog\\x00\n"; r.stdout != want {
		t.Errorf("got %q, want %q", r.stdout, want)
	}
	r = run(t, "caf\xe9\t\xe2\x82\n", "similarity", "--model", tiny, "--file", "-")
	r.expect(t, 0)
	if !strings.HasSuffix(r.stdout, "\tcaf\ufffd\t\ufffd\n") {
		t.Errorf("got %q", r.stdout)
	}
}

func TestLongPair(t *testing.T) {
	long := strings.Repeat("cat sat ", 5<<20/8)
	r := run(t, "cat\tdog\n"+long+"\t"+long+"\ndog\tdog\n", "similarity", "--model", tiny, "--file", "-")
	r.expect(t, 0, "text a of pair 1 is longer", "2 of 6 texts are longer")
	lines := strings.Split(r.stdout, "\n")
	if len(lines) != 4 || lines[1] != "1.000000\t"+long+"\t"+long || lines[2] != "1.000000\tdog\tdog" {
		t.Errorf("%d lines, or the long one is not as it should be", len(lines))
	}
}
