package gomai

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/maida-ai/gomai"

// floors says which packages of the project each may import. Every floor imports only floors below
// it. The numeric column (simd, quant, native, models, metrics) and the execution column (sched,
// kernel, graph, layers, workflow) never import each other; they meet from steps upwards. A name
// stands for the whole folder, and packages of one floor may import each other; a line for a folder
// inside another (internal/labels) takes precedence. Only what the go command links counts: tests may
// import what they like.
const floors = `
	types:               -
	internal/cpu:        -
	internal/fma:        -
	internal/labels:     -
	internal/invariants: -
	internal/cells:      internal/invariants
	internal/lane:       -
	internal/mapped:     -
	internal/peak:       internal/cpu
	internal/placement:  -
	internal/realctx:    -
	internal/settings:   -

	# the numeric column
	simd:       internal/cpu internal/fma
	quant:      simd internal/cpu internal/fma
	models:     quant simd types internal/cpu internal/mapped
	metrics:    simd types internal/cpu internal/mapped
	native:     models metrics quant simd types

	# the execution column
	sched:      internal/labels internal/lane internal/invariants
	kernel:     sched types internal/labels internal/cells internal/invariants internal/placement internal/realctx internal/settings
	graph:      kernel types internal/cells internal/invariants internal/settings
	layers:     graph kernel sched types internal/invariants internal/settings
	workflow:   graph kernel types

	# both
	pprof:      kernel
	xcp:        layers types
	steps:      layers kernel sched models metrics types
	contrib:    *
	bench:      steps workflow xcp pprof layers graph kernel sched models metrics quant simd types internal
	examples:   *
	cmd:        *

	# the house itself
	.:                  -
	internal/testmodel: -
	internal/testmodel/fetch: internal/testmodel
	internal/asmgen:    -
	internal/amxemu:    -
`

// outside says who may import which package that is neither ours nor in the standard library. A new
// line needs its reason in docs/RATIONALE.md.
const outside = `
	github.com/klauspost/cpuid/v2:       internal/cpu
	github.com/mmcloughlin/avo:          internal/asmgen
	github.com/panjf2000/ants/v2:        sched
	github.com/minio/simdjson-go:        models
	github.com/ebitengine/purego:        native
	github.com/spf13/cobra:              cmd
	github.com/schollz/progressbar/v3:   cmd
	golang.org/x/term:                   cmd
	golang.org/x/sys:                    internal/cpu internal/mapped
	golang.org/x/text:                   models cmd
	gonum.org/v1/gonum:                  models bench

	# what gomai is compared with, in a module of its own
	github.com/cloudwego/eino:           bench/peers
	github.com/noneback/go-taskflow:     bench/peers
	github.com/sourcegraph/conc:         bench/peers
	golang.org/x/sync:                   bench/peers
`

// network says who may import net and what stands on it. Everything else, the models above all, never
// touches the network.
const network = `
	net:  xcp pprof workflow contrib cmd examples bench
`

// emulator is the only package that may use cgo: no package imports it, tests alone do, under a tag.
const emulator = "internal/amxemu"

// light is what a server that imports layers, models, metrics and steps may pull in besides the
// standard library.
var light = []string{
	module,
	"github.com/klauspost/cpuid/v2",
	"github.com/panjf2000/ants/v2",
	"golang.org/x/sync", // of ants
	"github.com/minio/simdjson-go",
	"github.com/klauspost/compress", // of simdjson-go
	"golang.org/x/sys",
	"golang.org/x/text",
}

// table reads lines of the form "name: word word", in which # starts a comment.
func table(t *testing.T, text string) map[string][]string {
	t.Helper()
	m := map[string][]string{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, words, ok := strings.Cut(line, ":")
		if _, twice := m[name]; !ok || twice {
			t.Fatalf("table line %q has no colon or comes twice", line)
		}
		m[name] = strings.Fields(words)
	}
	return m
}

// entry returns the longest name in the table that is p or a folder above it, or "".
func entry[V any](table map[string]V, p string) string {
	for p != "." {
		if _, ok := table[p]; ok {
			return p
		}
		p = path.Dir(p)
	}
	return ""
}

// within says whether p is one of the folders or lies below one; * is all folders.
func within(folders []string, p string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return f == "*" || p == f || strings.HasPrefix(p, f+"/")
	})
}

// sources calls f with each Go file of the repository that is no test, for whatever platform or tag
// it is built: nested modules too, testdata not.
func sources(t *testing.T, f func(file string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			n++
			f(filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatal("found no Go files")
	}
}

func TestImports(t *testing.T) {
	floor, out, network := table(t, floors), table(t, outside), table(t, network)
	sources(t, func(file string) {
		dir := path.Dir(file)
		own := entry(floor, dir)
		if dir == "." {
			own = "."
		}
		if own == "" {
			t.Errorf("%s: folder %s is not in the table of floors: add it to deps_test.go, with what it may import", file, dir)
			return
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, spec := range tree.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", file, spec.Path.Value, err)
				continue
			}
			ours, isOurs := strings.CutPrefix(p, module+"/")
			first, _, _ := strings.Cut(p, "/")
			switch {
			case isOurs:
				if entry(floor, ours) != own && !within(floor[own], ours) {
					t.Errorf("%s imports %s, which is not below it", file, ours)
				}
			case strings.Contains(first, "."):
				switch lib := entry(out, p); {
				case lib == "":
					t.Errorf("%s imports %s, a new dependency: add it to deps_test.go and its reason to docs/RATIONALE.md", file, p)
				case !within(out[lib], dir):
					t.Errorf("%s imports %s, which only %v may", file, p, out[lib])
				}
			case first == "net" && p != "net/url" && p != "net/netip":
				if !within(network["net"], dir) {
					t.Errorf("%s imports %s: only %v may use the network", file, p, network["net"])
				}
			case first == "plugin" || p == "C" && dir != emulator:
				t.Errorf("%s imports %q: everything is plain Go and Go assembly", file, p)
			}
		}
	})
}

func TestLightImports(t *testing.T) {
	args := []string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}{{if eq .ImportPath `net`}}net{{end}}"}
	for _, d := range []string{"layers", "models", "metrics", "steps"} {
		if files, _ := filepath.Glob(d + "/*.go"); len(files) > 0 {
			args = append(args, "./"+d)
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	list, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	deps := strings.Fields(string(list))
	if len(deps) == 0 {
		t.Fatal("go list printed no packages")
	}
	for _, p := range deps {
		if !within(light, p) {
			t.Errorf("a server that imports layers, models, metrics and steps would link %s", p)
		}
	}
}
