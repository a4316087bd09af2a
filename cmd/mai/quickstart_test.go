package main

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

const quickstartA, quickstartB = "hello world", "Hello, world!"

func TestQuickstart(t *testing.T) {
	var similarity similarityRecord
	r := run(t, "", "similarity", "--json", quickstartA, quickstartB)
	if err := json.Unmarshal([]byte(r.stdout), &similarity); err != nil {
		t.Fatal(err)
	}
	high := fmt.Sprintf("Similarity score is high (%.2f)\n", similarity.Score)

	r = run(t, "", "quickstart")
	r.expect(t, 0)
	if r.stdout != high {
		t.Errorf("got %q, want %q", r.stdout, high)
	}
	if rows := regexp.MustCompile(`(?m)^quickstart/\S+ +[\d.]+\S*s +[\d.]+\S*s$`).FindAllString(r.stderr, -1); len(rows) != 7 {
		t.Errorf("%d rows of steps on stderr: %s", len(rows), r.stderr)
	}

	for threshold, want := range map[string]string{"1.5": "low", "-3": "high", "0.5": "high"} {
		r = run(t, "", "quickstart", "--threshold", threshold)
		r.expect(t, 0)
		if !strings.HasPrefix(r.stdout, "Similarity score is "+want) {
			t.Errorf("--threshold %s: %q", threshold, r.stdout)
		}
	}
	for _, threshold := range []string{"NaN", "Inf", "-Inf", "high"} {
		run(t, "", "quickstart", "--threshold", threshold).expect(t, exitUsage, "--threshold")
	}

	r = run(t, "", "quickstart", "--json")
	r.expect(t, 0)
	r.silent(t)
	got := records[quickstartRecord](t, r)
	if len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
	if got[0].Result+"\n" != high || math.Abs(got[0].Score-similarity.Score) > 1e-12 {
		t.Errorf("got %q, %v; want %q, %v", got[0].Result, got[0].Score, high, similarity.Score)
	}
	var paths []string
	for _, s := range got[0].Steps {
		paths = append(paths, s.Path)
		if s.Error != nil || s.Start < 0 || s.Duration < 0 || s.Path == "quickstart/delay" && s.Duration < 100_000 {
			t.Errorf("step %+v", s)
		}
	}
	slices.Sort(paths)
	want := []string{
		"quickstart/delay", "quickstart/embed", "quickstart/humanize", "quickstart/mean",
		"quickstart/parallel[0]/agent1", "quickstart/parallel[1]/agent2", "quickstart/tokenize",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("steps %q, want %q", paths, want)
	}
}

func TestVersion(t *testing.T) {
	r := run(t, "", "version", "--json")
	r.expect(t, 0)
	got := records[buildFacts](t, r)
	level, err := cpu.Detect() // of the tests, which see the same MAI_CPU
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Version == "" || got[0].Revision == "" || !strings.HasPrefix(got[0].Go, "go1.") || got[0].Level != level.String() {
		t.Fatalf("got %+v", got)
	}
	text := run(t, "", "version")
	text.expect(t, 0)
	for _, word := range []string{got[0].Version, got[0].Revision, got[0].Go, got[0].OS + "/" + got[0].Arch} {
		if !strings.Contains(text.stdout, word) {
			t.Errorf("mai version lacks %q: %s", word, text.stdout)
		}
	}
}

func TestBadLevel(t *testing.T) {
	t.Setenv("MAI_CPU", "avx9")
	for _, args := range [][]string{{"version"}, {"embed", "--model", tiny, "a"}} {
		run(t, "", args...).expect(t, exitUsage, "MAI_CPU=avx9")
	}
	t.Setenv("MAI_CPU", "generic")
	run(t, "", "embed", "--model", tiny, "a").expect(t, 0)
}
