package modelfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDecodeJSONErrors(t *testing.T) {
	for _, c := range []struct {
		data   string
		offset int64
		field  string
		reason string
	}{
		{`{"n" 1}`, 5, "", "broken JSON"},
		{`{"n":1}x`, 7, "", "broken JSON"},
		{`{"n":1`, 6, "", "broken JSON"},
		{`{"n":"one"}`, 10, "n", "a JSON string where int is expected"},
		{`{"n":1e99}`, 9, "n", "a JSON number 1e99 where int is expected"},
		{`[1]`, 1, "", "a JSON array where an object is expected"},
		{`{"o":[1]}`, 6, "o", "a JSON array where an object is expected"},
		{`{"m":1}`, 6, "m", "a JSON number where an object is expected"},
		{`{"l":{}}`, 6, "l", "a JSON object where an array is expected"},
		{`{"p":true}`, 9, "p", "a JSON bool where float32 is expected"},
		{`{"k":7}`, 6, "k", "a JSON number where string is expected"},
		{"{\"n\xff\":1}", 3, "", "not UTF-8"},
		{"\ufeff{}", 0, "", "broken JSON"},
	} {
		type kind string
		var v struct {
			N int              `json:"n"`
			O *struct{ X int } `json:"o"`
			M map[string]int   `json:"m"`
			L []float32        `json:"l"`
			P *float32         `json:"p"`
			K kind             `json:"k"`
		}
		err := DecodeJSON("c.json", []byte(c.data), &v)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v, want an *Error", c.data, err)
			continue
		}
		if e.File != "c.json" || e.Offset != c.offset || e.Field != c.field || e.Reason != c.reason {
			t.Errorf("%q: %+v, want offset %d field %q reason %q", c.data, *e, c.offset, c.field, c.reason)
		}
	}
	var v struct{ N int }
	if err := DecodeJSON("c.json", []byte(` {"n":7} `), &v); err != nil || v.N != 7 {
		t.Errorf("good JSON: %v, N = %d", err, v.N)
	}
}

func TestReadFileErrors(t *testing.T) {
	fsys := fstest.MapFS{
		"empty":      {},
		"folder/x":   {Data: []byte("x")},
		"pipe":       {Mode: fs.ModeNamedPipe},
		"good":       {Data: []byte("{}")},
		"cut/c.json": {Data: []byte("{")},
	}
	for name, want := range map[string]string{
		"empty":   "empty: empty file",
		"folder":  "folder: a directory where a file belongs",
		"pipe":    "pipe: not a regular file",
		"missing": "missing: file does not exist",
	} {
		_, err := ReadFile(fsys, name)
		var e *Error
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, err := ReadFile(fsys, "missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v does not match fs.ErrNotExist", err)
	}
	if b, err := ReadFile(fsys, "good"); err != nil || string(b) != "{}" {
		t.Errorf("good: %q, %v", b, err)
	}
	err := ReadJSON(fsys, "cut/c.json", new(any))
	if err == nil || !strings.HasPrefix(err.Error(), "cut/c.json: offset 1: broken JSON") {
		t.Errorf("cut JSON: %v", err)
	}
}

func TestReadFileRefusesHugeFiles(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(MaxSize + 1); err != nil {
		t.Skip("no sparse files here:", err)
	}
	var e *Error
	if _, err := ReadFile(os.DirFS(dir), "huge"); !errors.As(err, &e) || !strings.Contains(e.Reason, "at most") {
		t.Errorf("a file beyond MaxSize: %v", err)
	}
}
