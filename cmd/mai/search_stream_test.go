//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestSearchStreams(t *testing.T) {
	file := write(t, "v.npy", npy(make([]float32, 320), searchDim))
	args := []string{"search", "--json", "--model", tiny, "--queries", "-", file}

	t.Run("a conversation", func(t *testing.T) {
		cmd, in, out, stderr := start(t, args...)
		for range 3 {
			if _, err := io.WriteString(in, "hello\n"); err != nil {
				t.Fatal(err)
			}
			if line, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(line, `{"index":`) {
				t.Fatalf("%q, %v", line, err)
			}
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		r := wait(t, cmd, stderr)
		r.expect(t, 0)
		r.silent(t)
	})

	t.Run("interrupted while waiting for queries", func(t *testing.T) {
		cmd, in, out, stderr := start(t, args...)
		defer in.Close()
		if _, err := io.WriteString(in, "hello\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		wait(t, cmd, stderr).expect(t, exitInterrupted, "interrupted")
	})

	t.Run("interrupted while reading vectors", func(t *testing.T) {
		cmd, in, _, stderr := start(t, "search", "--model", tiny, "-", "hello")
		defer in.Close()
		// More than a pipe holds: when it is written, mai is running and has read of it.
		if _, err := io.WriteString(in, strings.Repeat(`{"embedding": [1, 2, 3, 4]}`+"\n", 10_000)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		wait(t, cmd, stderr).expect(t, exitInterrupted, "interrupted")
	})

	t.Run("full disk", func(t *testing.T) {
		for _, more := range [][]string{{"hello"}, {"hello", "--json"}, {"hello", "world", "--quantize", "i8"}} {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			cmd := exec.CommandContext(t.Context(), mai, append([]string{"search", "--model", tiny, file}, more...)...)
			cmd.Stdout = full
			finish(t, cmd, nil).expect(t, exitFailed, "writing the output", "no space left on device")
		}
	})

	// The size of a pipe is not known before its end.
	array := npy(make([]float32, 320), searchDim)
	for _, c := range []struct {
		name, content string
		code, hits    int
		words         []string
	}{
		{"vectors from a pipe", array, 0, 10, nil},
		{"too few from a pipe", array[:len(array)-1], exitInput, 0, []string{"shape", "ends 1 bytes before"}},
		{"too many from a pipe", array + "x", exitInput, 0, []string{"shape", "more bytes follow"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			// It fits in the pipe.
			if _, err := io.WriteString(w, c.content); err != nil {
				t.Fatal(err)
			}
			w.Close()
			cmd := exec.CommandContext(t.Context(), mai, "search", "--json", "--model", tiny, "/dev/fd/3", "hello")
			cmd.ExtraFiles = []*os.File{r}
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			got := finish(t, cmd, &stdout)
			got.expect(t, c.code, c.words...)
			if n := strings.Count(got.stdout, `"rank"`); n != c.hits {
				t.Errorf("%d hits, want %d", n, c.hits)
			}
		})
	}
}
