package main

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeZip(t *testing.T, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.whl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for _, n := range names {
		w, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(n, "/") {
			continue // a folder holds no bytes
		}
		if _, err := w.Write([]byte(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	wheel := writeZip(t, "p/__init__.py", "p/model/", "p/model/config.json", "p/model/1_Pooling/config.json")
	if err := unpack(wheel, "p/model/", dir); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"config.json", "1_Pooling/config.json"} {
		if b, err := os.ReadFile(filepath.Join(dir, n)); err != nil || string(b) != "p/model/"+n {
			t.Errorf("%s holds %q, %v", n, b, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "__init__.py")); err == nil {
		t.Error("a file beside the model was unpacked")
	}

	if err := unpack(writeZip(t, "p/model/../../evil"), "p/model/", dir); err == nil {
		t.Error("a name that leaves the folder was accepted")
	}
}

func TestCheck(t *testing.T) {
	path := writeZip(t, "a")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if err := check(path, hex.EncodeToString(sum[:])); err != nil {
		t.Error(err)
	}
	if err := check(path, sources[0].sum); err == nil {
		t.Error("a file with another sum was accepted")
	}
}
