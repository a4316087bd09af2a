package static

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

func testTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Open("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func openFixture(t testing.TB, name string) (*safetensors.File, []byte) {
	t.Helper()
	f, err := safetensors.Open("testdata/" + name + "/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	config, err := os.ReadFile("testdata/" + name + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	return f, config
}

func loadFixture(t testing.TB, name string) *Table {
	t.Helper()
	f, config := openFixture(t, name)
	table, err := Load(f, config, testTokenizer(t))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

var fixtures = []struct {
	name      string
	layout    string
	tolerance float64 // of the largest component
}{
	{"f32", "f32", 1e-6},
	{"f32_mean", "f32", 1e-6},
	{"f16", "f16", 2e-3}, // the reference adds up in float16
	{"i8", "int8", 1e-6},
	{"i8_mapped", "int8", 1e-6},
	{"f32_mapped", "f32", 1e-6},
	{"int4", "int4", 1e-6},
}

// TestReference compares every layout with what the model2vec package (for int4: the description of
// the layout in numpy) makes of the same file.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/want.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text    string
		IDs     []int32
		Vectors map[string][]float64
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			table := loadFixture(t, f.name)
			if table.Layout() != f.layout {
				t.Errorf("layout %s, want %s", table.Layout(), f.layout)
			}
			got := make([]float32, table.Dim())
			for _, c := range cases {
				want := c.Vectors[f.name]
				if len(want) != table.Dim() {
					t.Fatalf("dimension %d, want %d", table.Dim(), len(want))
				}
				if _, err := table.EmbedIDsInto(c.IDs, got); err != nil {
					t.Fatal(err)
				}
				size := 0.0
				for _, w := range want {
					size = max(size, math.Abs(w))
				}
				for j, w := range want {
					if d := math.Abs(float64(got[j]) - w); !(d <= f.tolerance*size) {
						t.Fatalf("%q: component %d is %g, want %g", c.Text, j, got[j], w)
					}
				}
			}
		})
	}
}

// TestBF16 has no counterpart in model2vec: the expected rows are the F32 ones, cut off.
func TestBF16(t *testing.T) {
	f, config := openFixture(t, "f32_mean")
	rows, _ := f.Tensor(TensorRows)
	half := safetensors.Tensor{Name: TensorRows, DType: safetensors.BF16, Shape: rows.Shape}
	for i := 0; i < len(rows.Data); i += 4 {
		half.Data = append(half.Data, rows.Data[i+2], rows.Data[i+3])
	}
	table, err := Load(parse(t, half), config, testTokenizer(t))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := rows.Float32s()
	got := make([]float32, table.Dim())
	for id := int32(2); id < int32(table.Size()); id++ {
		if _, err := table.EmbedIDsInto([]int32{id}, got); err != nil {
			t.Fatal(err)
		}
		for j, v := range all[int(id)*table.Dim():][:table.Dim()] {
			if want := math.Float32frombits(math.Float32bits(v) &^ 0xffff); got[j] != want {
				t.Fatalf("id %d, component %d: %g, want %g", id, j, got[j], want)
			}
		}
	}
}

func TestKnown(t *testing.T) {
	const pad, unk, cat, dog = 0, 1, 4, 5
	for _, f := range fixtures {
		table := loadFixture(t, f.name)
		for _, c := range []struct {
			ids   []int32
			share float32
			zero  bool
		}{
			{nil, 1, true},
			{[]int32{pad}, 1, true},
			{[]int32{unk}, 0, true},
			{[]int32{unk, pad, unk}, 0, true},
			{[]int32{cat, unk}, 0.5, false},
			{[]int32{pad, cat, dog, unk, unk, pad}, 0.5, false},
			{[]int32{cat, dog, unk, cat}, 0.75, false},
			{[]int32{cat}, 1, false},
		} {
			got := slices.Repeat([]float32{float32(math.NaN())}, table.Dim())
			share, err := table.EmbedIDsInto(c.ids, got)
			if err != nil {
				t.Fatal(err)
			}
			if share != c.share {
				t.Errorf("%s: ids %v: share %v, want %v", f.name, c.ids, share, c.share)
			}
			norm := 0.0
			for _, v := range got {
				norm += float64(v) * float64(v)
			}
			switch {
			case c.zero && norm != 0, !c.zero && !(norm > 0):
				t.Errorf("%s: ids %v: squared length %v", f.name, c.ids, norm)
			case !c.zero && table.Normalize() && math.Abs(norm-1) > 1e-5:
				t.Errorf("%s: ids %v: squared length %v, want 1", f.name, c.ids, norm)
			}
		}
	}
}

// TestIgnoredTokens: the unknown token, special ones and their places change nothing.
func TestIgnoredTokens(t *testing.T) {
	table := loadFixture(t, "int4")
	plain, padded := make([]float32, table.Dim()), make([]float32, table.Dim())
	if _, err := table.EmbedIDsInto([]int32{4, 9, 13}, plain); err != nil {
		t.Fatal(err)
	}
	if _, err := table.EmbedIDsInto([]int32{0, 4, 1, 9, 1, 1, 13, 0}, padded); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(plain, padded) {
		t.Error("unknown and special tokens changed the vector")
	}
}

// TestCancelling: rows that add up to nothing have the zero vector, not 0/0.
func TestCancelling(t *testing.T) {
	tok := testTokenizer(t)
	rows := make([]float32, tok.Size()*2)
	rows[4*2], rows[5*2] = 1e-30, -1e-30
	table, err := Load(parse(t, f32(TensorRows, rows, tok.Size(), 2)), []byte(`{"normalize": true}`), tok)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 2)
	if _, err := table.EmbedIDsInto([]int32{4, 5}, got); err != nil || got[0] != 0 || got[1] != 0 {
		t.Errorf("got %v, %v, want the zero vector", got, err)
	}
	if _, err := table.EmbedIDsInto([]int32{4}, got); err != nil || got[0] != 1 {
		t.Errorf("a tiny row: got %v, %v, want [1 0]", got, err)
	}
}

// TestLargest: rows at the limit of what is accepted stay finite however many are added.
func TestLargest(t *testing.T) {
	tok := testTokenizer(t)
	largest := math.Nextafter32(magnitudeLimit, 0)
	rows := slices.Repeat([]float32{largest}, tok.Size()*2)
	for _, config := range []string{`{"normalize": true}`, `{"normalize": false}`} {
		table, err := Load(parse(t, f32(TensorRows, rows, tok.Size(), 2)), []byte(config), tok)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 2)
		if _, err := table.EmbedIDsInto(slices.Repeat([]int32{4}, 1<<20), got); err != nil {
			t.Fatal(err)
		}
		if v := float64(got[0]); math.IsNaN(v) || math.IsInf(v, 0) || v == 0 {
			t.Errorf("%s: got %v", config, got)
		}
	}
}

func TestBadCalls(t *testing.T) {
	table := loadFixture(t, "i8_mapped")
	dst := slices.Repeat([]float32{7}, table.Dim())
	var badID *IDError
	for _, ids := range [][]int32{{4, 4, -1}, {4, 5, int32(table.Size())}, {4, 5, math.MinInt32}} {
		if _, err := table.EmbedIDsInto(ids, dst); !errors.As(err, &badID) || badID.Index != 2 || badID.ID != ids[2] {
			t.Errorf("ids %v: error %v", ids, err)
		}
	}
	var badDim *DimError
	if _, err := table.EmbedIDsInto([]int32{4}, dst[1:]); !errors.As(err, &badDim) || badDim.Dim != table.Dim() {
		t.Errorf("short dst: error %v", err)
	}
	if slices.ContainsFunc(dst, func(v float32) bool { return v != 7 }) {
		t.Error("an error changed dst")
	}
}

func TestSum(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, f := range fixtures {
		sum := loadFixture(t, f.name).Sum()
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s have one sum", f.name, other)
		}
		seen[sum] = f.name
		if loadFixture(t, f.name).Sum() != sum {
			t.Errorf("%s: the sum changes", f.name)
		}
	}
}

func TestAllocations(t *testing.T) {
	for _, f := range fixtures {
		table := loadFixture(t, f.name)
		ids := []int32{2, 4, 6, 7, 2, 8, 1, 22}
		dst := make([]float32, table.Dim())
		if n := testing.AllocsPerRun(100, func() { table.EmbedIDsInto(ids, dst) }); n != 0 {
			t.Errorf("%s: %v allocations", f.name, n)
		}
	}
}

// TestTextToVector allocates nothing from the text on.
func TestTextToVector(t *testing.T) {
	tok, table := testTokenizer(t), loadFixture(t, "int4")
	var tokens types.TokenizedText
	dst := make([]float32, table.Dim())
	n := testing.AllocsPerRun(100, func() {
		if err := tok.TokenizeInto("The big red house, xyzzy walking!", &tokens); err != nil {
			t.Fatal(err)
		}
		if _, err := table.EmbedIDsInto(tokens.IDs, dst); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// parse makes a file of tensors.
func parse(t testing.TB, tensors ...safetensors.Tensor) *safetensors.File {
	t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse("weights", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}
