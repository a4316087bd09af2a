package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/models/modelfile"
)

// build puts a header and a body together.
func build(header, body string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), body...)
}

func TestParseRejects(t *testing.T) {
	const four = "\x00\x00\x80\x3f"
	one := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	at := func(header, part string) int64 { return int64(8 + strings.Index(header, part)) }
	type hostile struct {
		name   string
		data   []byte
		offset int64
		field  string
		reason string // a part of it
	}
	cases := []hostile{
		{"nothing", nil, 0, "", "cut file"},
		{"half a length", []byte{1, 0, 0}, 3, "", "cut file"},
		{"10 GB header", append(binary.LittleEndian.AppendUint64(nil, 10<<30), one...), 0, "", "a header of 10737418240 bytes"},
		{"header length overflows", append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64-3), one...), 0, "", "header of 18446744073709551612 bytes"},
		{"header longer than the file", append(binary.LittleEndian.AppendUint64(nil, 200), one...), 0, "", "a header of 200 bytes in a file of 62"},
		{"empty header", build("", ""), 8, "", "in the middle"},
	}
	add := func(name, header, body, mark, field, reason string) {
		cases = append(cases, hostile{name, build(header, body), at(header, mark), field, reason})
	}
	add("no object", `["a"]`, "", `[`, "", `is expected`)
	add("broken JSON", `{"a":{"dtype" "F32"}}`, "", `"F32"`, "a", "broken JSON")
	add("key without quotes", `{a:1}`, "", `a:`, "", "broken JSON")
	add("after the JSON", one+" x", four, "x", "", "follows")
	add("entry is no object", `{"a":7}`, "", "7", "a", "is expected")
	add("twice", strings.TrimSuffix(one, "}")+","+one[1:], four, `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "a", "stands twice")
	add("key twice", `{"a":{"dtype":"F32","dtype":"F32"}}`, "", `"dtype":"F32"}`, "a", "dtype stands twice")
	add("unknown key", `{"a":{"dtype":"F32","colour":1}}`, "", `"colour"`, "a", "unknown key")
	add("unknown dtype", `{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}`, four, `"F31"`, "a", `unknown dtype "F31"`)
	add("dtype is no string", `{"a":{"dtype":[],"shape":[1]}}`, four, `[]`, "a", "no string")
	add("no dtype", `{"a":{"shape":[1],"data_offsets":[0,4]}}`, four, `"a"`, "a", "has no dtype")
	add("no shape", `{"a":{"dtype":"F32","data_offsets":[0,4]}}`, four, `"a"`, "a", "has no shape")
	add("no offsets", `{"a":{"dtype":"F32","shape":[1]}}`, four, `"a"`, "a", "has no data_offsets")
	add("negative dimension", `{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, four, "-1", "a", "not a whole number")
	add("half a dimension", `{"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,4]}}`, four, "0.5", "a", "not a whole number")
	add("dimension beyond 64 bits", `{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}`, four, "1844", "a", "not a whole number")
	add("dimension beyond int", `{"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}}`, four, `"shape"`, "a", "beyond this machine")
	add("text in the shape", `{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}`, four, `"1"`, "a", "not a number")
	add("rank 17", `{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}}`, four+four, "2]", "a", "more than 16")
	add("size overflows", `{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, "", `"a"`, "a", "overflows")
	add("size wraps to the right one", `{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}`, four, `"a"`, "a", "overflows")
	add("backwards", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, four, `"a"`, "a", "backwards")
	add("three offsets", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,2,4]}}`, four, `4]`, "a", "more than 2")
	add("one offset", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}`, four, `"data_offsets"`, "a", "not 2")
	add("shape and span differ", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, four, `"a"`, "a", "needs 8 bytes, data_offsets span 4")
	add("metadata is a list", `{"__metadata__":[]}`, "", "[]", "__metadata__", "is expected")
	add("metadata holds a number", `{"__metadata__":{"n":1}}`, "", "1", "__metadata__", `"n" is no string`)
	add("not UTF-8", "{\"a\xff\":{}}", "", "\xff", "", "not UTF-8")
	body := func(name, header, body string, offset int, field, reason string) {
		cases = append(cases, hostile{name, build(header, body), int64(8 + len(header) + offset), field, reason})
	}
	two := func(b1, e1, b2, e2 int) string {
		return fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`,
			e1-b1, b1, e1, e2-b2, b2, e2)
	}
	body("JSON ends early", `{"a":{"dtype":"F32",`, "", 0, "a", "in the middle")
	body("10 GB tensor", `{"a":{"dtype":"F32","shape":[2684354560],"data_offsets":[0,10737418240]}}`, four, 4, "a", "cut file: the tensor ends at offset 107374")
	body("cut tensor", one, four[:3], 3, "a", "cut file")
	body("overlap", two(0, 4, 2, 6), "123456", 2, "b", `overlaps "a"`)
	body("same place", two(0, 4, 0, 4), "1234", 0, "b", `overlaps "a"`)
	body("nothing inside something", two(0, 4, 2, 2), "1234", 2, "b", `overlaps "a"`)
	body("hole", two(0, 2, 3, 4), "1234", 2, "b", "1 bytes between a and the tensor")
	body("hole at the start", two(1, 2, 2, 4), "1234", 0, "a", "1 bytes between the header")
	body("trailing data", one, four+"more", 4, "", "4 bytes after the last tensor")
	body("data without tensors", `{}`, "x", 0, "", "1 bytes after")
	for _, c := range cases {
		f, err := Parse("m.safetensors", c.data)
		var e *modelfile.Error
		if !errors.As(err, &e) || f != nil {
			t.Errorf("%s: file %v, error %v, want an *Error", c.name, f, err)
			continue
		}
		if e.File != "m.safetensors" || e.Offset != c.offset || e.Field != c.field || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%s: got %+v\nwant offset %d, field %q, reason with %q", c.name, *e, c.offset, c.field, c.reason)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	header := ` {"b": {"shape":[], "dtype":"F32", "data_offsets":[0,4]},
		"__metadata__":{"format":"pt"},
		"empty":{"dtype":"F64","shape":[0,3],"data_offsets":[4,4]},
		"a":{"data_offsets":[4,6],"dtype":"I8","shape":[2,1]}}   `
	f, err := Parse("m", build(header, "\x00\x00\x80\x3f\xff\x02"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Tensor{
		{"a", I8, []int{2, 1}, []byte{0xff, 2}},
		{"b", F32, []int{}, []byte{0, 0, 0x80, 0x3f}},
		{"empty", F64, []int{0, 3}, []byte{}},
	}
	if !reflect.DeepEqual(f.Tensors(), want) {
		t.Errorf("tensors %v, want %v", f.Tensors(), want)
	}
	if !reflect.DeepEqual(f.Metadata(), map[string]string{"format": "pt"}) {
		t.Errorf("metadata %v", f.Metadata())
	}
	b, ok := f.Tensor("b")
	if v, err := b.Float32s(); !ok || err != nil || len(v) != 1 || v[0] != 1 {
		t.Errorf("b = %v, %v, %v; want the scalar 1", v, ok, err)
	}
	if _, ok := f.Tensor("c"); ok {
		t.Error("a tensor that is not there was found")
	}
	a, _ := f.Tensor("a")
	if _, err := a.Float32s(); err == nil || !strings.Contains(err.Error(), `"a": dtype I8`) {
		t.Errorf("I8 as floats: %v", err)
	}
}

// The reference library wrote the file (testdata/make_reference.py); the values stand there.
func TestReadsWhatTheReferenceWrites(t *testing.T) {
	f, err := Open("testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string][]float32{
		"f32":  {0, 1, -2.5, 3.4028235e38, 1e-45, float32(math.Inf(-1))},
		"f16":  {0, 1, -2.5, 65504, 0x1p-24, 0x1.ff8p-15, float32(math.Inf(1))},
		"bf16": {0, 1, -2.5, 0x1.fep127, 0x1p-133},
	} {
		tensor, _ := f.Tensor(name)
		got, err := tensor.Float32s()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, %v; want %v", name, got, err, want)
		}
	}
	i8, _ := f.Tensor("i8")
	if i8.DType != I8 || !reflect.DeepEqual(i8.Shape, []int{2, 3}) || !bytes.Equal(i8.Data, []byte{0, 1, 2, 0xff, 0x7f, 0x80}) {
		t.Errorf("i8 = %v", i8)
	}
	if f.Metadata()["licence"] != "none" {
		t.Errorf("metadata %v", f.Metadata())
	}
}

func TestFloat16(t *testing.T) {
	// Every half, decoded here by its definition in float64.
	for h := range 1 << 16 {
		exp, frac := h>>10&0x1f, float64(h&0x3ff)
		var want float64
		switch exp {
		case 0:
			want = math.Ldexp(frac/1024, -14)
		case 31:
			want = math.Inf(1)
			if frac != 0 {
				want = math.NaN()
			}
		default:
			want = math.Ldexp(1+frac/1024, exp-15)
		}
		if h&0x8000 != 0 {
			want = math.Copysign(want, -1)
		}
		got := float64(float16(uint16(h)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != math.Signbit(want) && got == got {
			t.Fatalf("half %#04x = %v, want %v", h, got, want)
		}
	}
}

func TestFloat32sCopiesOnlyWhenItMust(t *testing.T) {
	for shift := range 4 {
		buf := make([]byte, 64)
		data := buf[shift : shift+8]
		binary.LittleEndian.PutUint32(data, math.Float32bits(1.5))
		tensor := Tensor{Name: "x", DType: F32, Shape: []int{2}, Data: data}
		v, err := tensor.Float32s()
		if err != nil || len(v) != 2 || v[0] != 1.5 {
			t.Fatalf("shift %d: %v, %v", shift, v, err)
		}
		binary.LittleEndian.PutUint32(data, math.Float32bits(2))
		if isView := v[0] == 2; isView != (shift == 0) {
			t.Errorf("shift %d: view %v", shift, isView)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":        "a directory where a file belongs",
		"empty":   "empty file",
		"missing": "",
	} {
		path := filepath.Join(dir, name)
		_, err := Open(path)
		_, fsErr := OpenFS(os.DirFS(dir), filepath.ToSlash(filepath.Join(".", name)))
		for _, err := range []error{err, fsErr} {
			var e *modelfile.Error
			if !errors.As(err, &e) || e.Reason != want {
				t.Errorf("%q: %v, want %q", name, err, want)
			}
		}
		if name == "missing" && (!errors.Is(err, fs.ErrNotExist) || !errors.Is(fsErr, fs.ErrNotExist)) {
			t.Errorf("missing file: %v, %v do not match fs.ErrNotExist", err, fsErr)
		}
	}
}

func TestWriteRoundTrip(t *testing.T) {
	tensors := []Tensor{
		{"z", F32, []int{1, 2}, []byte("12345678")},
		{"b", U8, []int{3}, []byte("abc")},
		{"a \"quoted\" <name>", F16, nil, []byte("xy")},
		{"nothing", I64, []int{0}, nil},
	}
	metadata := map[string]string{"b": "2", "a": "1\n"}
	var first bytes.Buffer
	if err := Write(&first, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFS(fstest.MapFS{"m": {Data: first.Bytes()}}, "m")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range tensors {
		got, ok := f.Tensor(want.Name)
		if !ok || got.DType != want.DType || !bytes.Equal(got.Data, want.Data) || fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
			t.Errorf("%q came back as %v, %v", want.Name, got, ok)
		}
	}
	if !reflect.DeepEqual(f.Metadata(), metadata) {
		t.Errorf("metadata %v, want %v", f.Metadata(), metadata)
	}
	if n := binary.LittleEndian.Uint64(first.Bytes()); (n+8)%alignment != 0 {
		t.Errorf("the first tensor starts at %d, not at a multiple of %d", n+8, alignment)
	}
	tensors[0], tensors[3] = tensors[3], tensors[0]
	var second bytes.Buffer
	if err := Write(&second, tensors, metadata); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("another order of tensors makes other bytes (%v)", err)
	}
}

func TestWriteRejects(t *testing.T) {
	for want, tensors := range map[string][]Tensor{
		"two tensors":          {{"a", U8, nil, []byte{1}}, {"a", U8, nil, []byte{1}}},
		`named "__metadata__"`: {{"__metadata__", U8, nil, []byte{1}}},
		"unknown dtype":        {{"a", "F31", nil, []byte{1}}},
		"needs 8 bytes, not 1": {{"a", F32, []int{2}, []byte{1}}},
		"impossible shape":     {{"a", U8, []int{-1, -1}, []byte{1}}},
		"not UTF-8":            {{"\xff", U8, nil, []byte{1}}},
	} {
		var b bytes.Buffer
		if err := Write(&b, tensors, nil); err == nil || !strings.Contains(err.Error(), want) || b.Len() != 0 {
			t.Errorf("%s: error %v after %d bytes", want, err, b.Len())
		}
	}
}

func FuzzParse(f *testing.F) {
	reference, err := os.ReadFile("testdata/reference.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	f.Add(reference[:len(reference)-1])
	f.Add(build(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, "123"))
	f.Add(build(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, ""))
	f.Add(build(`{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[1,1],"data_offsets":[0,2]}} `, "ab"))
	f.Add(build(`{"a":{"dtype":"F16","shape":[],"data_offsets":[18446744073709551615,1]}}`, "ab"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz", data)
		if err != nil {
			var e *modelfile.Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(data)) {
				t.Fatalf("error %#v without a place in the file's %d bytes", err, len(data))
			}
			return
		}
		// What was accepted comes back from Write and Parse as it was.
		for i := range file.tensors {
			tensor := &file.tensors[i]
			if tensor.Len()*tensor.DType.Size() != len(tensor.Data) {
				t.Fatalf("%v does not hold what its shape says", tensor)
			}
			if v, err := tensor.Float32s(); err == nil && len(v) != tensor.Len() {
				t.Fatalf("%d floats for %v", len(v), tensor)
			}
		}
		var b bytes.Buffer
		if err := Write(&b, file.Tensors(), file.Metadata()); err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again.Tensors()) != fmt.Sprint(file.Tensors()) || fmt.Sprint(again.Metadata()) != fmt.Sprint(file.Metadata()) {
			t.Fatalf("%v became %v", file.Tensors(), again.Tensors())
		}
	})
}
