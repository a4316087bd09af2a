package gomai

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// block returns the first fenced block of README.md in the language.
func block(t *testing.T, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readFile(t, "README.md"), "```"+language+"\n")
	text, _, end := strings.Cut(rest, "```\n")
	if !ok || !end {
		t.Fatalf("README.md has no %s block", language)
	}
	return text
}

// TestReadmeExample: the Go code in the README is the body of Example, which runs as a test.
func TestReadmeExample(t *testing.T) {
	_, body, _ := strings.Cut(readFile(t, "example_test.go"), "func Example() {\n")
	body, _, _ = strings.Cut(body, "\t// Output")
	var want strings.Builder
	for line := range strings.Lines(body) {
		want.WriteString(strings.TrimPrefix(line, "\t"))
	}
	if got := block(t, "go"); got != want.String() {
		t.Errorf("README.md has\n%s\nexample_test.go has\n%s", got, want.String())
	}
}

// TestReadmeQuickstart: what the README says the quick start prints is what it prints, times aside.
func TestReadmeQuickstart(t *testing.T) {
	out, err := exec.Command("go", "run", "./cmd/mai", "quickstart").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := block(t, "console")
	_, want, _ = strings.Cut(want, "\n") // the command
	if times := regexp.MustCompile(`[0-9.]+ *(ns|µs|ms|s)\b`); normalise(times, string(out)) != normalise(times, want) {
		t.Errorf("README.md has\n%s\nthe quick start prints\n%s", want, out)
	}
}

// normalise leaves what does not change from run to run.
func normalise(times *regexp.Regexp, s string) string {
	var b strings.Builder
	for line := range strings.Lines(times.ReplaceAllString(s, "TIME")) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}
