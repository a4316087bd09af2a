package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/internal/testmodel"
)

// Each command's help has one example, which works as it is written. The folder that it runs in holds
// the tiny model by the name that the examples use for a large one.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "all-MiniLM-L6-v2"), os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(mai)
	root := newRoot(new(bool))
	root.InitDefaultHelpCmd()
	for _, cmd := range append(root.Commands(), root) {
		t.Run(cmd.Name(), func(t *testing.T) {
			example := strings.TrimSpace(cmd.Example)
			if example == "" || strings.Contains(example, "\n") || !strings.Contains(example, cmd.CommandPath()) && cmd != root {
				t.Fatalf("the example is %q, not one line that runs the command", example)
			}
			if help := run(t, "", append(strings.Fields(cmd.CommandPath())[1:], "--help")...); !strings.Contains(help.stdout, example) || help.code != 0 {
				t.Errorf("the help lacks the example %q", example)
			}
			if cmd.Name() == "pack" {
				testmodel.Slow(t)
				packable(t, filepath.Join(dir, "all-MiniLM-L6-v2"))
			}
			// The tiny model is too small for the dimensions of a real one.
			example = strings.Replace(example, "--dims 192", "--dims 32", 1)
			shell := exec.CommandContext(t.Context(), "sh", "-c", example)
			shell.Dir = dir
			shell.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			var stdout bytes.Buffer
			shell.Stdout = &stdout
			r := finish(t, shell, &stdout)
			r.expect(t, 0)
			if r.stdout == "" {
				t.Errorf("%s printed nothing", example)
			}
		})
	}
}

// Every command takes --json and then prints nothing but JSON on stdout; TestDistill looks at distill.
func TestJSON(t *testing.T) {
	for _, args := range [][]string{
		{"quickstart", "--model", tiny},
		{"embed", "--model", tiny, "a"},
		{"tokenize", "--model", tiny, "a"},
		{"similarity", "--model", tiny, "a", "b"},
		{"eval", "--model", tiny, "--sts", write(t, "sts.tsv", pairLines)},
		{"models"},
		{"doctor"},
		{"version"},
	} {
		t.Run(args[0], func(t *testing.T) {
			r := run(t, "", append(args, "--json")...)
			r.expect(t, 0)
			var v map[string]any
			if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || len(v) == 0 {
				t.Errorf("%v: %s", err, clip(r.stdout))
			}
		})
	}
	for _, cmd := range newRoot(new(bool)).Commands() {
		if flag(cmd, "json") == "" {
			t.Errorf("%s does not take --json", cmd.Name())
		}
	}
}

// flag returns the help of a flag, "" if the command does not take it.
func flag(cmd *cobra.Command, name string) string {
	if f := cmd.InheritedFlags().Lookup(name); f != nil {
		return f.Usage
	}
	return ""
}

// What is odd about the output is said where people look it up.
func TestHelpSays(t *testing.T) {
	for command, phrases := range map[string][]string{
		"search": {"blank lines that VECTORS may have", "NaN"},
		"doctor": {"whatever MAI_CPU says", "GemmU8I8 and Epilogue"},
	} {
		help := strings.Join(strings.Fields(run(t, "", command, "--help").stdout), " ")
		for _, p := range phrases {
			if !strings.Contains(help, p) {
				t.Errorf("mai %s --help lacks %q", command, p)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"-h"}, {"help"}} {
		r := run(t, "", args...)
		r.expect(t, 0)
		r.silent(t)
		for _, cmd := range newRoot(new(bool)).Commands() {
			if !strings.Contains(r.stdout, "\n  "+cmd.Name()+" ") {
				t.Errorf("mai %v does not list %s", args, cmd.Name())
			}
		}
		if strings.Contains(r.stdout, "completion") {
			t.Errorf("mai %v lists what is not ours", args)
		}
	}
}
