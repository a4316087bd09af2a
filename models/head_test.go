package models_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// headed is the tiny model with the modules of testdata/heads/name behind its transformer.
func headed(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	files := tiny(t)
	for _, old := range []string{"modules.json", "1_Pooling/config.json"} {
		delete(files, "m/"+old)
	}
	root := os.DirFS("testdata/heads/" + name)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, path)
		set(files, path, string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkFirst compares the vectors of the first texts with the reference's.
func checkFirst(t *testing.T, files fstest.MapFS, want [][]float32) *models.Model {
	t.Helper()
	m, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if m.Dim() != len(want[0]) {
		t.Fatalf("%d components, want %d", m.Dim(), len(want[0]))
	}
	for i, text := range texts(t)[:20] {
		got, _ := embed(t, m, text)
		if c := cosine(got, want[i]); !(c >= 0.99999) {
			t.Errorf("%.40q: cosine %v", text, c)
		}
		for j, v := range got {
			if w := want[i][j]; math.Abs(float64(v-w)) > 2e-5*math.Max(1, math.Abs(float64(w))) {
				t.Errorf("%.40q: component %d is %v, want %v", text, j, v, w)
				break
			}
		}
	}
	return m
}

func TestHeadsAgreeWithTheReference(t *testing.T) {
	r := openReference(t, "testdata/heads.safetensors")
	spaces := map[types.SpaceID]string{}
	for name, kind := range map[string]string{
		"all-poolings":    "bert-2x32-cls+max+mean+mean_sqrt_len_tokens+weightedmean+lasttoken",
		"other-order":     "bert-2x32-lasttoken+cls-unit",
		"tanh":            "bert-2x32-cls-24tanh-unit",
		"identity":        "bert-2x32-mean-40identity",
		"relu-gelu":       "bert-2x32-mean+max-80relu-16gelu-unit",
		"normalize-first": "bert-2x32-weightedmean-unit-8gelu",
	} {
		t.Run(name, func(t *testing.T) {
			m := checkFirst(t, headed(t, name), r.rows(name))
			if d := m.Describe(); d.Kind != kind || d.Hidden != 32 {
				t.Errorf("%+v, want %s", d, kind)
			}
			if other, ok := spaces[m.Space()]; ok {
				t.Errorf("the space of %s too", other)
			}
			spaces[m.Space()] = name

			ids := tokenize(t, m, "hello world").IDs
			hidden, got := make([]float32, 32*len(ids)), make([]float32, m.Dim())
			if err := m.HiddenInto(t.Context(), ids, hidden, got); err != nil {
				t.Fatal(err)
			}
			if want, _ := embed(t, m, "hello world"); !slices.Equal(got, want) {
				t.Error("HiddenInto gives another vector")
			}
		})
	}
}

// Files of half precision are computed in float32.
func TestHalfPrecisionWeights(t *testing.T) {
	r := openReference(t, "testdata/heads.safetensors")
	for name, half := range map[string]struct {
		dtype   safetensors.DType
		convert func(v []float32) (bytes []byte)
	}{
		"f16": {safetensors.F16, func(v []float32) (bytes []byte) {
			short := make([]simd.Float16, len(v))
			simd.ConvertF32F16(short, v)
			for _, s := range short {
				bytes = binary.LittleEndian.AppendUint16(bytes, uint16(s))
			}
			return bytes
		}},
		"bf16": {safetensors.BF16, func(v []float32) (bytes []byte) {
			short := make([]simd.BFloat16, len(v))
			simd.ConvertF32BF16(short, v)
			for _, s := range short {
				bytes = binary.LittleEndian.AppendUint16(bytes, uint16(s))
			}
			return bytes
		}},
	} {
		t.Run(name, func(t *testing.T) {
			files := tiny(t)
			weights(t, files, func(x safetensors.Tensor) []safetensors.Tensor {
				v, err := x.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				x.DType, x.Data = half.dtype, half.convert(v)
				return []safetensors.Tensor{x}
			})
			checkFirst(t, files, r.rows(name))
		})
	}
}

func TestDenseNamesWhatIsBad(t *testing.T) {
	weightsOf := func(name string, shape []int, values ...float32) func(t *testing.T, files fstest.MapFS) {
		return func(t *testing.T, files fstest.MapFS) {
			data := make([]byte, 4*shape[0]*shape[1])
			for i, v := range values {
				binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
			}
			var b strings.Builder
			if err := safetensors.Write(&b, []safetensors.Tensor{{Name: name, DType: safetensors.F32, Shape: shape, Data: data}}, nil); err != nil {
				t.Fatal(err)
			}
			set(files, "2_Dense/model.safetensors", b.String())
		}
	}
	change := func(old, new string) func(t *testing.T, files fstest.MapFS) {
		return func(t *testing.T, files fstest.MapFS) { replace(t, files, "2_Dense/config.json", old, new) }
	}
	for _, c := range []struct {
		name  string
		edit  func(t *testing.T, files fstest.MapFS)
		file  string
		parts string
	}{
		{"other width", change(`"in_features": 32`, `"in_features": 33`), "2_Dense/config.json", `"in_features"|33, but what comes in has 32`},
		{"no outputs", change(`"out_features": 24`, `"out_features": 0`), "2_Dense/config.json", `"out_features"|0 is not between 1`},
		{"endless outputs", change(`"out_features": 24`, `"out_features": 1000000000000`), "2_Dense/config.json", `"out_features"|is not between 1`},
		{"other activation", change("activation.Tanh", "activation.SiLU"), "2_Dense/config.json", `"activation_function"|SiLU|not supported`},
		{"own activation", change("torch.nn.modules.activation.Tanh", "mine.Tanh"), "2_Dense/config.json", `"activation_function"|mine.Tanh`},
		{"of tokens", change(`"module_input_name": "sentence_embedding"`, `"module_input_name": "token_embeddings"`), "2_Dense/config.json", `"module_input_name"|token_embeddings`},
		{"to elsewhere", change(`"module_output_name": "sentence_embedding"`, `"module_output_name": "other"`), "2_Dense/config.json", `"module_output_name"|other`},
		{"residual", change(`"bias": true`, `"bias": true, "use_residual": true`), "2_Dense/config.json", `"use_residual"`},
		{"broken", change(`"bias": true`, `"bias": 7`), "2_Dense/config.json", "a JSON number"},
		{"no weights", func(_ *testing.T, files fstest.MapFS) { delete(files, "m/2_Dense/model.safetensors") }, "2_Dense/model.safetensors", "file does not exist"},
		{"old weights", func(_ *testing.T, files fstest.MapFS) {
			delete(files, "m/2_Dense/model.safetensors")
			set(files, "2_Dense/pytorch_model.bin", "x")
		}, "2_Dense/model.safetensors", "pytorch_model.bin is not read"},
		{"no tensor", weightsOf("weight", []int{24, 32}), "2_Dense/model.safetensors", `"linear.weight"|missing, expected shape [24 32]`},
		{"no bias", weightsOf("linear.weight", []int{24, 32}), "2_Dense/model.safetensors", `"linear.bias"|missing`},
		{"other shape", weightsOf("linear.weight", []int{32, 24}), "2_Dense/model.safetensors", `"linear.weight"|expected [24 32], found [32 24]`},
		{"NaN", weightsOf("linear.weight", []int{24, 32}, 1, float32(math.NaN())), "2_Dense/model.safetensors", `"linear.weight"|not finite`},
		{"Normalize of tokens", func(t *testing.T, files fstest.MapFS) {
			replace(t, files, "3_Normalize/config.json", `"module_input_name": "sentence_embedding"`, `"module_input_name": "token_embeddings"`)
		}, "3_Normalize/config.json", `"module_input_name"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := headed(t, "tanh")
			c.edit(t, files)
			_, err := models.OpenFS(files, "m")
			var bad *models.FormatError
			if !errors.As(err, &bad) || bad.File != "m/"+c.file {
				t.Fatalf("%v, want a *FormatError of %s", err, c.file)
			}
			for part := range strings.SplitSeq(c.parts, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not say %q", err, part)
				}
			}
		})
	}
}

// The weights of a Dense module are part of what the space covers.
func TestDenseWeightsNameTheSpace(t *testing.T) {
	files := headed(t, "tanh")
	before, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	data := []byte(string(files["m/2_Dense/model.safetensors"].Data))
	data[len(data)-3] ^= 1 // in the mantissa of the last weight
	set(files, "2_Dense/model.safetensors", string(data))
	after, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if before.Space() == after.Space() {
		t.Errorf("two weights, one space %q", before.Space())
	}
}

// A Dense module may follow a static table too.
func TestDenseBehindAStaticTable(t *testing.T) {
	files := staticModel(t, "f32_mean")
	plain, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	in := plain.Dim()
	set(files, "modules.json", `[{"path":"","type":"x.StaticEmbedding"},{"path":"1_Dense","type":"x.Dense"}]`)
	set(files, "1_Dense/config.json", `{"in_features":`+strconv.Itoa(in)+`,"out_features":1,"bias":false,"activation_function":"torch.nn.ReLU"}`)
	var b strings.Builder
	data := make([]byte, 4*in)
	for i := range in {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(1))
	}
	if err := safetensors.Write(&b, []safetensors.Tensor{{Name: "linear.weight", DType: safetensors.F32, Shape: []int{1, in}, Data: data}}, nil); err != nil {
		t.Fatal(err)
	}
	set(files, "1_Dense/model.safetensors", b.String())
	m, err := models.OpenFS(files, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	positive := false
	for id := range min(40, plain.Tokenizer().Size()) {
		text := plain.Tokenizer().Token(int32(id))
		got, _ := embed(t, m, text)
		v, _ := embed(t, plain, text)
		var sum float64
		for _, x := range v {
			sum += float64(x)
		}
		positive = positive || sum > 0
		if len(got) != 1 || math.Abs(float64(got[0])-max(sum, 0)) > 1e-5 {
			t.Errorf("%q: %v, want the positive part of %v", text, got, sum)
		}
	}
	if !positive {
		t.Error("no text has a positive sum")
	}
}
