//go:build linux

package main

import (
	"bufio"
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

	t.Run("vectors from a pipe with a name", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd := exec.CommandContext(t.Context(), mai, "search", "--json", "--model", tiny, "/dev/fd/3", "hello")
		cmd.ExtraFiles = []*os.File{r}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, npy(make([]float32, 320), searchDim)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil || strings.Count(line, `"rank"`) != 10 {
			t.Errorf("%s, %v", line, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
}
