package static

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
)

// f32 makes a tensor.
func f32(name string, values []float32, shape ...int) safetensors.Tensor {
	t := safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: shape}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}

func i32(name string, values []int32, shape ...int) safetensors.Tensor {
	t := safetensors.Tensor{Name: name, DType: safetensors.I32, Shape: shape}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
	}
	return t
}

// TestBadFiles: whatever is wrong with a table, the error names the tensor or field and what was
// found, and no table comes of it.
func TestBadFiles(t *testing.T) {
	tok := testTokenizer(t)
	size := tok.Size()
	const int4Config = `{"embedding_dtype": "int4", "group_size": 32}`
	good := func() safetensors.Tensor { return f32(TensorRows, make([]float32, size*2), size, 2) }
	with := func(values []float32, i int, v float32) []float32 {
		values = slices.Clone(values)
		values[i] = v
		return values
	}
	int4 := func() []safetensors.Tensor { return PackInt4(make([]float32, size*32), 32) }
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		what    string
		config  string
		tensors []safetensors.Tensor
		field   string
		reason  string
	}{
		{"no table", "", []safetensors.Tensor{f32("word_embeddings", nil, 0, 2)}, TensorRows, "no such tensor"},
		{"a vector", "", []safetensors.Tensor{f32(TensorRows, make([]float32, size), size)}, TensorRows, "(rows, dim) is expected"},
		{"no columns", "", []safetensors.Tensor{f32(TensorRows, nil, size, 0)}, TensorRows, "(rows, dim) is expected"},
		{"too few rows", "", []safetensors.Tensor{f32(TensorRows, make([]float32, size*2-2), size-1, 2)}, TensorRows, "vocabulary of"},
		{"too many rows", "", []safetensors.Tensor{f32(TensorRows, make([]float32, size*2+2), size+1, 2)}, TensorRows, "vocabulary of"},
		{"integers", "", []safetensors.Tensor{i32(TensorRows, make([]int32, size), size, 1)}, TensorRows, "dtype I32"},
		{"NaN", "", []safetensors.Tensor{f32(TensorRows, with(make([]float32, size*2), 7, nan), size, 2)}, TensorRows, "row 3, column 1"},
		{"infinity", "", []safetensors.Tensor{f32(TensorRows, with(make([]float32, size*2), 6, inf), size, 2)}, TensorRows, "row 3, column 0"},
		{"absurd size", "", []safetensors.Tensor{f32(TensorRows, with(make([]float32, size*2), 6, magnitudeLimit), size, 2)}, TensorRows, "row 3, column 0"},
		{"short mapping", "", []safetensors.Tensor{good(), i32(tensorMapping, make([]int32, size-1), size-1)}, tensorMapping, "is expected"},
		{"mapping of two axes", "", []safetensors.Tensor{good(), i32(tensorMapping, make([]int32, size), size, 1)}, tensorMapping, "is expected"},
		{"mapping beyond", "", []safetensors.Tensor{good(), i32(tensorMapping, slices.Repeat([]int32{int32(size)}, size), size)}, tensorMapping, "id 0 is mapped to row"},
		{"mapping below", "", []safetensors.Tensor{good(), i32(tensorMapping, slices.Repeat([]int32{-1}, size), size)}, tensorMapping, "id 0 is mapped to row -1"},
		{"float mapping", "", []safetensors.Tensor{good(), f32(tensorMapping, make([]float32, size), size)}, tensorMapping, "dtype F32"},
		{"short weights", "", []safetensors.Tensor{good(), f32(tensorWeights, make([]float32, 1), 1)}, tensorWeights, "is expected"},
		{"integer weights", "", []safetensors.Tensor{good(), i32(tensorWeights, make([]int32, size), size)}, tensorWeights, "dtype I32"},
		{"NaN weight", "", []safetensors.Tensor{good(), f32(tensorWeights, with(make([]float32, size), 5, nan), size)}, tensorWeights, "id 5"},
		{"infinite weight", "", []safetensors.Tensor{good(), f32(tensorWeights, with(make([]float32, size), 5, inf), size)}, tensorWeights, "id 5"},
		{"weight times row", "", []safetensors.Tensor{f32(TensorRows, slices.Repeat([]float32{0x1p40}, size), size, 1), f32(tensorWeights, with(make([]float32, size), 5, 0x1p20), size)}, tensorWeights, "id 5"},
		{"int4 not announced", `{}`, int4(), "embedding_dtype", `asks for "int4"`},
		{"int4 of other groups", `{"embedding_dtype": "int4", "group_size": 64}`, int4(), "group_size", "64"},
		{"int4 without scales", int4Config, int4()[:1], tensorScales, "no such tensor"},
		{"int4 with scales of other shape", int4Config, []safetensors.Tensor{int4()[0], {Name: tensorScales, DType: safetensors.F16, Shape: []int{size, 2}, Data: make([]byte, size*4)}}, tensorScales, "is expected"},
		{"int4 with float32 scales", int4Config, []safetensors.Tensor{int4()[0], f32(tensorScales, make([]float32, size), size, 1)}, tensorScales, "F16 is expected"},
		{"int4 of signed bytes", int4Config, []safetensors.Tensor{{Name: TensorInt4, DType: safetensors.I8, Shape: []int{size, 16}, Data: make([]byte, size*16)}, int4()[1]}, TensorInt4, "U8 is expected"},
		{"int4 of half a group", int4Config, []safetensors.Tensor{{Name: TensorInt4, DType: safetensors.U8, Shape: []int{size, 8}, Data: make([]byte, size*8)}, int4()[1]}, TensorInt4, "multiple of 32"},
		{"int4 of too few rows", int4Config, PackInt4(make([]float32, size*32-32), 32), TensorInt4, "vocabulary of"},
		{"int4 with an infinite scale", int4Config, []safetensors.Tensor{int4()[0], {Name: tensorScales, DType: safetensors.F16, Shape: []int{size, 1}, Data: slices.Repeat([]byte{0, 0x7c}, size)}}, tensorScales, "row 0, column 0"},
		{"broken configuration", `{"normalize": tru}`, []safetensors.Tensor{good()}, "", "broken JSON"},
		{"configuration of another type", `{"normalize": 1}`, []safetensors.Tensor{good()}, "normalize", "number"},
		{"no length", `{"max_length": 0}`, []safetensors.Tensor{good()}, "max_length", "at least 1"},
	} {
		table, err := Load(parse(t, c.tensors...), []byte(c.config), tok)
		var e *modelfile.Error
		switch {
		case !errors.As(err, &e):
			t.Errorf("%s: error %v", c.what, err)
		case table != nil:
			t.Errorf("%s: a table beside the error", c.what)
		case e.File == "" || e.Field != c.field || !strings.Contains(err.Error(), c.reason):
			t.Errorf("%s: file %q, field %q, error %q; want field %q and %q", c.what, e.File, e.Field, err, c.field, c.reason)
		}
	}
}

func TestConfig(t *testing.T) {
	tok := testTokenizer(t)
	file := parse(t, f32(TensorRows, make([]float32, tok.Size()), tok.Size(), 1))
	for _, c := range []struct {
		config    string
		normalize bool
		maxTokens int
	}{
		{"", false, 512},
		{"{}", false, 512},
		{`{"normalize": true, "max_length": null}`, true, 0},
		{`{"max_length": 7, "some_other": [1]}`, false, 7},
	} {
		table, err := Load(file, []byte(c.config), tok)
		if err != nil {
			t.Fatalf("%s: %v", c.config, err)
		}
		if table.Normalize() != c.normalize || table.MaxTokens() != c.maxTokens {
			t.Errorf("%s: normalize %v, at most %d tokens", c.config, table.Normalize(), table.MaxTokens())
		}
	}
}
