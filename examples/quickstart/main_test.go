package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestOutput runs the program as a user does.
func TestOutput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", "run", ".")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	if got, want := stdout.String(), "Similarity score is high (1.00)\n"; got != want {
		t.Errorf("stdout is %q, want %q", got, want)
	}
	var steps []string
	for line := range strings.Lines(stderr.String()) {
		step, duration, _ := strings.Cut(strings.TrimSpace(line), " ")
		steps = append(steps, step)
		if !regexp.MustCompile(`^ *[0-9.]+(ns|µs|ms)$`).MatchString(duration) {
			t.Errorf("%q is no duration", duration)
		}
	}
	// In the order in which they end: the agent that computes is done first.
	want := "quickstart/tokenize quickstart/embed quickstart/parallel[1]/agent2 quickstart/parallel[0]/agent1 " +
		"quickstart/mean quickstart/delay quickstart/humanize"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps are\n%s, want\n%s", got, want)
	}
}
