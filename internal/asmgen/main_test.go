package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCommittedAssembly(t *testing.T) {
	for _, f := range files {
		got, err := assemble(f.generate)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
			continue
		}
		committed, err := os.ReadFile(filepath.Join("../..", f.path))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, committed) {
			t.Errorf("%s is not what its generator writes: go run . in internal/asmgen", f.path)
		}
	}
}
