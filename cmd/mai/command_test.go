package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
)

// mai is the binary under test, built once as users get it; with the race detector when that is on.
var mai string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mai-test-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		// What is packed is kept here, not in the user's cache.
		os.Setenv("GOMAI_TESTDATA", testmodel.Dir())
		os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
		mai = filepath.Join(dir, "mai")
		if runtime.GOOS == "windows" {
			mai += ".exe"
		}
		args, cgo := []string{"build", "-o", mai}, "CGO_ENABLED=0"
		if testmodel.Race {
			args, cgo = append(args, "-race"), "CGO_ENABLED=1"
			os.Setenv("GORACE", "atexit_sleep_ms=0") // the default is a second at the end of each run
		}
		if testmodel.NoAsm {
			args = append(args, "-tags", "noasm")
		}
		build := exec.Command("go", append(args, ".")...)
		build.Env = append(os.Environ(), cgo)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building mai: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// result is what a run of mai left.
type result struct {
	code           int
	stdout, stderr string
}

// run runs mai with what it finds on stdin, which is closed behind it.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), mai, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	return finish(t, cmd, &stdout)
}

// finish runs cmd with a buffer as stderr.
func finish(t *testing.T, cmd *exec.Cmd, stdout *bytes.Buffer) result {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	r := result{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
	if stdout != nil {
		r.stdout = stdout.String()
	}
	if strings.Contains(r.stderr, "DATA RACE") || strings.Contains(r.stderr, "panic:") || strings.Contains(r.stderr, "goroutine ") {
		t.Errorf("%v: %s", cmd.Args, r.stderr)
	}
	return r
}

// expect checks the exit code, that stderr has each of the words, and that nothing but data is on
// stdout.
func (r result) expect(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d; stderr: %s", r.code, code, clip(r.stderr))
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("stderr lacks %q: %s", w, clip(r.stderr))
		}
	}
	if code == exitUsage && r.stdout != "" {
		t.Errorf("stdout after wrong usage: %s", clip(r.stdout))
	}
}

// silent checks that stderr is empty.
func (r result) silent(t *testing.T) {
	t.Helper()
	if r.stderr != "" {
		t.Errorf("stderr: %s", clip(r.stderr))
	}
}

func clip(s string) string {
	if len(s) > 500 {
		return s[:500] + "..."
	}
	return s
}

// records decodes JSON lines.
func records[R any](t *testing.T, r result) []R {
	t.Helper()
	var all []R
	for line := range strings.Lines(r.stdout) {
		var v R
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("line %d of stdout: %v: %s", len(all), err, clip(line))
		}
		all = append(all, v)
	}
	return all
}

// write makes a file in a fresh folder and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// The binary needs no loader and no libc.
func TestStatic(t *testing.T) {
	if testmodel.Race {
		t.Skip("the race detector needs cgo")
	}
	if runtime.GOOS != "linux" {
		t.Skip("no ELF")
	}
	f, err := elf.Open(mai)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a %v segment", p.Type)
		}
	}
	if libs, err := f.ImportedLibraries(); len(libs) > 0 {
		t.Errorf("the binary needs %v (%v)", libs, err)
	}
}
