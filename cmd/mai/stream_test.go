package main

import (
	"context"
	"strings"
	"testing"
)

// What one enormous line needed is not kept for the next.
func TestPipelineForgetsLongLines(t *testing.T) {
	in := &source[string]{kind: texts, name: "f", r: strings.NewReader(strings.Repeat("a\n", 10*maxBatch))}
	long := strings.Repeat("x", 4*keptLine)
	p := newPipeline(t.Context(), in, 2, 5, func(_ context.Context, _ int, items []string, answers []answer) {
		for i := range items {
			answers[i].record = long
		}
	})
	n := 0
	for j := range p.jobs {
		<-j.done
		for i := range j.items {
			if got := j.lines[i].String(); got != long+"\n" {
				t.Fatalf("a line of %d bytes", len(got))
			}
			n++
		}
		p.free(j)
	}
	p.wait()
	if n != 10*maxBatch {
		t.Errorf("%d lines", n)
	}
	close(p.spare)
	for j := range p.spare {
		for i := range j.lines {
			if c := j.lines[i].Cap(); c > keptLine {
				t.Fatalf("%d bytes are kept for a line", c)
			}
		}
	}
}
