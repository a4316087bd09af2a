package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/models"
)

func TestModels(t *testing.T) {
	dir := t.TempDir()
	good, broken := filepath.Join(dir, "deep", "good"), filepath.Join(dir, "broken")
	for _, to := range []string{good, broken} {
		if err := os.CopyFS(to, os.DirFS(tiny)); err != nil {
			t.Fatal(err)
		}
	}
	// What lies in a model's folder is part of it.
	if err := os.CopyFS(filepath.Join(good, "2_Dense"), os.DirFS("../../models/testdata/heads/tanh/2_Dense")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(broken, "config.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "packed.gomai")
	if err := os.WriteFile(packed, []byte("cut short"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", "models", dir, "--json")
	r.expect(t, 0)
	r.silent(t)
	got := records[modelRecord](t, r)
	if len(got) != 4 {
		t.Fatalf("%d models: %s", len(got), r.stdout)
	}
	if got[0].Model != "builtin" || got[0].Error != nil || got[0].Dim != 192 {
		t.Errorf("the first is %+v", got[0])
	}
	if got[1].Model != broken || got[1].Error == nil || !strings.Contains(*got[1].Error, "config.json") || got[1].Kind != "" {
		t.Errorf("the broken one is %+v", got[1])
	}
	if got[2].Model != good || got[2].Error != nil || got[2].Kind != "bert-2x32-mean-unit" {
		t.Errorf("the good one is %+v", got[2])
	}
	if got[3].Model != packed || got[3].Error == nil || !strings.Contains(*got[3].Error, packed) {
		t.Errorf("the packed one, which is damaged, is %+v", got[3])
	}
	table := run(t, "", "models", dir)
	table.expect(t, 0)
	if lines := strings.Split(strings.TrimSpace(table.stdout), "\n"); len(lines) != 5 || !strings.HasPrefix(lines[0], "model ") || !strings.Contains(lines[3], "bert-2x32-mean-unit") {
		t.Errorf("the table is\n%s", table.stdout)
	}

	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if got := records[modelRecord](t, run(t, "", "models", "--json")); len(got) != 1 {
		t.Errorf("with an empty cache %d models", len(got))
	}
	run(t, "", "models", filepath.Join(dir, "nowhere")).expect(t, exitInput, "nowhere")
	run(t, "", "models", filepath.Join(dir, "notes.txt")).expect(t, exitInput, "not a folder")
}

func TestModelsShow(t *testing.T) {
	r := run(t, "", "models", "show", tiny)
	r.expect(t, 0)
	for _, line := range []string{"kind bert-2x32-mean-unit", "dim 32", "max tokens 32", `query prompt "query: "`} {
		if !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), line) {
			t.Errorf("lacks %q:\n%s", line, r.stdout)
		}
	}
	m, err := models.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want, err := json.Marshal(m.Describe())
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", "models", "show", "--json", tiny); r.stdout != string(want)+"\n" {
		t.Errorf("--json: %s, want %s", r.stdout, want)
	}
	run(t, "", "models", "show", "builtin").expect(t, 0)
	run(t, "", "models", "show").expect(t, exitUsage, "accepts 1 arg")
	run(t, "", "models", "show", "no/such").expect(t, exitInput, "no/such")
}
