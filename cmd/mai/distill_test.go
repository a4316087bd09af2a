package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
)

func TestDistill(t *testing.T) {
	testmodel.Slow(t)
	out := filepath.Join(t.TempDir(), "out")
	corpus := write(t, "corpus.jsonl", "{\"text\": \"hello world\"}\n{\"text\": \"the cat sits on the mat\"}\n")
	r := run(t, "", "distill", tiny, "-o", out, "--dims", "32", "--corpus", corpus, "--json")
	r.expect(t, 0)
	r.silent(t)
	if got := records[distillRecord](t, r); len(got) != 1 || got[0] != (distillRecord{out, 32}) {
		t.Errorf("got %+v", got)
	}
	r = run(t, "", "embed", "--model", out, "hello world")
	r.expect(t, 0)
	if got := records[embedRecord](t, r); len(got) != 1 || len(got[0].Embedding) != 32 {
		t.Errorf("the small model gives %d records, or not 32 dimensions", len(got))
	}
	// A model made of a static one makes no sense.
	run(t, "", "distill", out, "-o", filepath.Join(t.TempDir(), "out"), "--dims", "32").expect(t, exitInput, "out")
}

func TestBadDistill(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "out")
	full := filepath.Dir(write(t, "precious", "mine"))
	for _, c := range []struct {
		name string
		args []string
		code int
		word string
	}{
		{"no output", []string{tiny}, exitUsage, "-o"},
		{"no model", []string{"-o", fresh}, exitUsage, "1 arg"},
		{"odd dimensions", []string{tiny, "-o", fresh, "--dims", "31"}, exitUsage, "31"},
		{"more dimensions than the encoder", []string{tiny, "-o", fresh, "--dims", "64"}, exitUsage, "64"},
		{"missing model", []string{"no/such/folder", "-o", fresh}, exitInput, "no/such/folder"},
		{"missing corpus", []string{tiny, "-o", fresh, "--corpus", "no/such/file"}, exitInput, "no/such/file"},
		{"empty corpus", []string{tiny, "-o", fresh, "--corpus", write(t, "empty.txt", "")}, exitInput, "empty.txt: no sentences"},
		{"output exists", []string{tiny, "-o", full, "--dims", "32"}, exitFailed, full},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, "", append([]string{"distill"}, c.args...)...).expect(t, c.code, c.word)
			if _, err := os.Stat(fresh); err == nil {
				t.Error("the output folder was made")
			}
		})
	}
}
