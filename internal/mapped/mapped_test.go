package mapped

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("0123456789"), 1000)
	if err := os.WriteFile(path, want, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(7, 0); err != nil { // where f stands does not matter
		t.Fatal(err)
	}
	data, unmap, err := File(f, int64(len(want))-3)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if !bytes.Equal(data, want[:len(want)-3]) {
		t.Errorf("%d bytes, not those of the file", len(data))
	}
	if unmap != nil {
		if err := unmap(); err != nil {
			t.Error(err)
		}
	}
}
