package onnx

import (
	"context"
	"encoding/binary"
	"math"

	"strings"
	"testing"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/safetensors"
)

// What ONNX Runtime computed with the models in testdata.
func oracle(t testing.TB) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open("testdata/expected.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// models are those of testdata/make_models.py, with what the graphs end with.
var testModels = []struct {
	name       string
	activation string
	pooling    string
	normalize  bool
}{
	{"torchscript", "gelu", "", false},
	{"torchscript-external", "gelu", "", false},
	{"torchscript-mean", "gelu", "mean", true},
	{"torchscript-max", "gelu_new", "max", false},
	{"gemm", "relu", "", false},
	{"dynamo-mean", "gelu", "mean", true},
	{"dynamo-cls", "gelu", "cls", true},
	{"cast-mul", "gelu", "mean", true},
	{"dequantize", "relu", "", false},
	{"int8-tensor", "gelu", "", false},
	{"int8-channel", "gelu", "mean", true},
	{"fused", "gelu", "", false},
	{"fused-float16", "gelu_new", "", false},
	{"fused-int8", "gelu", "", false},
	{"distilbert", "gelu", "", false},
	{"roberta", "gelu", "", false},
}

func TestModels(t *testing.T) {
	expected := oracle(t)
	for _, c := range testModels {
		t.Run(c.name, func(t *testing.T) {
			m, err := Open("testdata/" + c.name + ".onnx")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			want := bert.Config{
				ModelType: "bert", PositionType: "absolute", VocabSize: 50, HiddenSize: 16, Layers: 2, Heads: 4,
				IntermediateSize: 32, Activation: c.activation, Positions: 24, TokenTypes: 2, Epsilon: 1e-12,
			}
			if c.name == "distilbert" || c.name == "roberta" {
				want.TokenTypes = 1
			}
			if m.Config() != want || m.Pooling() != c.pooling || m.Normalize() != c.normalize {
				t.Fatalf("%+v, pooling %q, normalize %v, want %+v, %q, %v", m.Config(), m.Pooling(), m.Normalize(), want, c.pooling, c.normalize)
			}
			e, err := bert.Load(m.Config(), m)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []string{"2", "9", "24"} {
				ids := int32s(t, expected, c.name+"."+n+".ids")
				hidden := make([]float32, len(ids)*16)
				if err := e.Forward(context.Background(), ids, hidden); err != nil {
					t.Fatal(err)
				}
				x, ok := expected.Tensor(c.name + "." + n + ".out")
				if !ok {
					t.Fatal("no oracle")
				}
				out, err := x.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				got := pool(hidden, 16, c.pooling, c.normalize)
				tolerance := 2e-5
				if strings.HasSuffix(c.name, "float16") { // the oracle computes in float16
					tolerance = 5e-3
				}
				compare(t, n+" tokens", got, out, 16, tolerance)
			}
		})
	}
}

func int32s(t *testing.T, f *safetensors.File, name string) []int32 {
	t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no %s", name)
	}
	v := make([]int32, x.Len())
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(x.Data[4*i:]))
	}
	return v
}

// pool is what a model's graph does with hidden states, or nothing.
func pool(hidden []float32, dim int, pooling string, normalize bool) []float32 {
	if pooling == "" {
		return hidden
	}
	v := make([]float32, dim)
	copy(v, hidden)
	for i := dim; i < len(hidden); i++ {
		switch pooling {
		case "mean":
			v[i%dim] += hidden[i]
		case "max":
			v[i%dim] = max(v[i%dim], hidden[i])
		}
	}
	scale := 1.0
	if pooling == "mean" {
		scale = float64(dim) / float64(len(hidden))
	}
	if normalize {
		sum := 0.0
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		scale = 1 / math.Sqrt(sum)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) * scale)
	}
	return v
}

// compare fails unless the rows of got have cosines with those of want above 0.99999 and the elements
// differ by no more than the tolerance.
func compare(t *testing.T, what string, got, want []float32, dim int, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	worst, least := 0.0, 1.0
	for i := 0; i < len(got); i += dim {
		var ab, aa, bb float64
		for j := i; j < i+dim; j++ {
			a, b := float64(got[j]), float64(want[j])
			ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
			worst = max(worst, math.Abs(a-b)/max(1, math.Abs(b)))
		}
		least = min(least, ab/math.Sqrt(aa*bb))
	}
	if !(worst <= tolerance) || !(least >= 0.99999) {
		t.Errorf("%s: difference %g, least cosine %.7f", what, worst, least)
	}
}

// The same weights are the same encoder, whoever wrote the graph.
func TestExportersAgree(t *testing.T) {
	var first [32]byte
	for i, name := range []string{"torchscript", "torchscript-external", "torchscript-mean", "dynamo-mean", "dynamo-cls", "fused", "int8-tensor"} {
		m, err := Open("testdata/" + name + ".onnx")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e, err := bert.Load(m.Config(), m)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = e.Sum()
		}
		if same := e.Sum() == first; same != (name != "int8-tensor") {
			t.Errorf("%s: sum equals that of the first: %v", name, same)
		}
	}
}
