//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
)

// counter counts lines and checks that they are in order, without keeping them.
type counter struct {
	lines int
	rest  []byte
	err   error
}

func (c *counter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		i := bytes.IndexByte(c.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		if want := fmt.Sprintf(`{"index":%d,"text":"text %d of many, `, c.lines, c.lines); c.err == nil && !bytes.HasPrefix(c.rest[:i], []byte(want)) {
			c.err = fmt.Errorf("line %d is %.60s", c.lines, c.rest[:i])
		}
		c.lines++
		c.rest = c.rest[i+1:]
	}
}

// embedMany embeds n lines and returns the most memory that mai had, in bytes.
func embedMany(t *testing.T, n int, args ...string) int64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "many.txt")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		fmt.Fprintf(f, "text %d of many, %s\n", i, strings.Repeat("cat ", i%23))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), mai, append([]string{"embed", "--file", path}, args...)...)
	var out counter
	cmd.Stdout = &out
	r := finish(t, cmd, nil)
	r.expect(t, 0)
	if out.err != nil || out.lines != n || len(out.rest) > 0 {
		t.Errorf("%d lines of %d, %v", out.lines, n, out.err)
	}
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// Memory does not grow with the number of texts.
func TestEmbedMemoryIsFlat(t *testing.T) {
	n := 100_000
	if testmodel.Race || testmodel.NoAsm {
		n = 20_000 // ten times slower
	}
	for _, threads := range []string{"1", "2", "5"} {
		few := embedMany(t, n/20, "--threads", threads, "--output", "binary")
		many := embedMany(t, n, "--threads", threads, "--output", "binary")
		t.Logf("--threads %s: %d MB for %d texts, %d MB for %d", threads, few>>20, n/20, many>>20, n)
		if many > few+few/4+8<<20 {
			t.Errorf("--threads %s: %d bytes for %d texts, %d for %d", threads, few, n/20, many, n)
		}
	}
}

// The same lines come out whatever the number of threads.
func TestThreads(t *testing.T) {
	file := write(t, "t.txt", strings.Repeat("hello world\n\ncat\nthe cat sat on the mat\n", 300))
	want := run(t, "", "embed", "--model", tiny, "--role", "query", "--threads", "1", "--file", file)
	want.expect(t, 0)
	if got := strings.Count(want.stdout, "\n"); got != 1200 {
		t.Fatalf("%d lines", got)
	}
	for _, threads := range []string{"2", "3", "40"} {
		got := run(t, "", "embed", "--model", tiny, "--role", "query", "--threads", threads, "--file", file)
		got.expect(t, 0)
		if got.stdout != want.stdout {
			t.Errorf("--threads %s: other output than with one", threads)
		}
	}
	for _, threads := range []string{"0", "-1", "many"} {
		run(t, "", "embed", "--threads", threads, "a").expect(t, exitUsage, "threads")
	}
}
