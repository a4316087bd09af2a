//go:build linux

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// start runs mai with pipes at stdin and stdout. Whoever reads a line from out knows that mai is in
// the middle of its work.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), mai, args...)
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, in, bufio.NewReader(stdout), stderr
}

func wait(t *testing.T, cmd *exec.Cmd, stderr *bytes.Buffer) result {
	t.Helper()
	_ = cmd.Wait() // the exit code is in the state
	return result{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
}

// streaming lists the commands that answer a file line by line, with such a line.
var streaming = []struct {
	name, line string
	args       []string
}{
	{"embed", "hello\n", []string{"embed", "--model", tiny, "--role", "document", "--file"}},
	{"tokenize", "hello\n", []string{"tokenize", "--model", tiny, "--file"}},
	{"similarity", "hello\tworld\n", []string{"similarity", "--json", "--model", tiny, "--file"}},
}

// A program on the other end of two pipes gets an answer for each line that it writes.
func TestConversation(t *testing.T) {
	for _, c := range streaming {
		t.Run(c.name, func(t *testing.T) {
			cmd, in, out, stderr := start(t, append(c.args, "-")...)
			for range 3 {
				if _, err := io.WriteString(in, c.line); err != nil {
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
	}
}

func TestInterrupt(t *testing.T) {
	for _, c := range streaming {
		t.Run(c.name+" waiting for stdin", func(t *testing.T) {
			cmd, in, out, stderr := start(t, append(c.args, "-")...)
			defer in.Close()
			if _, err := io.WriteString(in, c.line); err != nil {
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
		t.Run(c.name+" at work", func(t *testing.T) {
			cmd, in, out, stderr := start(t, append(c.args, "-")...)
			go func() {
				defer in.Close()
				for {
					if _, err := io.WriteString(in, strings.Repeat(c.line, 1000)); err != nil {
						return // mai has ended
					}
				}
			}()
			if _, err := out.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			if len(rest) > 0 && rest[len(rest)-1] != '\n' {
				t.Error("the output ends within a line")
			}
			wait(t, cmd, stderr).expect(t, exitInterrupted, "interrupted")
		})
	}
}

// An interrupted distil leaves nothing behind.
func TestInterruptDistill(t *testing.T) {
	dir := t.TempDir()
	cmd, in, _, stderr := start(t, "distill", tiny, "-o", filepath.Join(dir, "out"), "--dims", "32", "--corpus", "-")
	// More than a pipe holds: when it is written, mai is running and has read of it.
	if _, err := io.WriteString(in, strings.Repeat("hello world\n", 20_000)); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	wait(t, cmd, stderr).expect(t, exitInterrupted, "interrupted")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{
		{"embed", "--model", tiny, "a"},
		{"embed", "--model", tiny, "--file", write(t, "many.txt", strings.Repeat("hello\n", 1000))},
		{"tokenize", "--model", tiny, "a"},
		{"similarity", "--model", tiny, "a", "b"},
		{"similarity", "--json", "--model", tiny, "a", "b"},
		{"similarity", "--model", tiny, "--file", write(t, "many.tsv", strings.Repeat("hello\tworld\n", 1000))},
		{"similarity", "--json", "--model", tiny, "--file", write(t, "one.tsv", "hello\tworld")},
		{"version"},
		{"version", "--json"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			cmd := exec.CommandContext(t.Context(), mai, args...)
			cmd.Stdout = full
			finish(t, cmd, nil).expect(t, exitFailed, "writing the output", "no space left on device")
		})
	}
}

// As in `mai embed ... | head -1`: the reader has what it wanted, and mai ends without a word.
func TestReaderLeaves(t *testing.T) {
	for _, c := range streaming {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, "many.txt", strings.Repeat(c.line, 100_000))
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), mai, append(c.args, file)...)
			cmd.Stdout = w
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			r.Close()
			_ = cmd.Wait()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGPIPE {
				t.Errorf("ended with %v, want SIGPIPE", cmd.ProcessState)
			}
			result{stderr: stderr.String()}.silent(t)
		})
	}
}
