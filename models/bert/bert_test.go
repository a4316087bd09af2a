package bert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
)

func testConfig(t testing.TB) Config {
	t.Helper()
	data, err := os.ReadFile("testdata/config.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig("testdata/config.json", data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, path string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// load makes an encoder of the tiny model's tensors after edit has changed them.
func load(t testing.TB, c Config, edit func([]safetensors.Tensor) []safetensors.Tensor) (*Encoder, error) {
	t.Helper()
	tensors := slices.Clone(open(t, "testdata/weights.safetensors").Tensors())
	if edit != nil {
		tensors = edit(tensors)
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse("weights", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return Load(c, Tensors(f))
}

// rename changes every tensor's name.
func rename(f func(string) string) func([]safetensors.Tensor) []safetensors.Tensor {
	return func(tensors []safetensors.Tensor) []safetensors.Tensor {
		for i := range tensors {
			tensors[i].Name = f(tensors[i].Name)
		}
		return tensors
	}
}

func ints(t testing.TB, f *safetensors.File, name string) []int32 {
	t.Helper()
	tensor, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("no %s", name)
	}
	v := make([]int32, tensor.Len())
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(tensor.Data[4*i:]))
	}
	return v
}

func TestForwardAgreesWithTheReference(t *testing.T) {
	expected := open(t, "testdata/expected.safetensors")
	for _, act := range []string{"gelu", "gelu_new", "relu"} {
		c := testConfig(t)
		c.Activation = act
		e, err := load(t, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, tokens := range []int{40, 1, 17} { // shrinking and growing the workspace
			name := act + "." + strconv.Itoa(tokens)
			tensor, _ := expected.Tensor(name)
			want, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, tokens*c.HiddenSize)
			if err := e.Forward(t.Context(), ints(t, expected, "ids."+strconv.Itoa(tokens)), got); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if d := math.Abs(float64(got[i] - want[i])); !(d <= 2e-5) {
					t.Fatalf("%s: component %d is %v, want %v", name, i, got[i], want[i])
				}
			}
		}
	}
}

func TestNamesAndTypesOfTensorsDoNotMatter(t *testing.T) {
	c := testConfig(t)
	ids := []int32{1, 2, 3, 49, 0}
	run := func(edit func([]safetensors.Tensor) []safetensors.Tensor) ([]float32, [32]byte) {
		e, err := load(t, c, edit)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float32, len(ids)*c.HiddenSize)
		if err := e.Forward(t.Context(), ids, out); err != nil {
			t.Fatal(err)
		}
		return out, e.Sum()
	}
	want, sum := run(nil)
	for name, edit := range map[string]func([]safetensors.Tensor) []safetensors.Tensor{
		"without bert.": rename(func(s string) string { return strings.TrimPrefix(s, "bert.") }),
		"gamma, beta": rename(func(s string) string {
			if strings.Contains(s, "LayerNorm") {
				s = strings.NewReplacer(".weight", ".gamma", ".bias", ".beta").Replace(s)
			}
			return s
		}),
	} {
		if got, other := run(edit); !slices.Equal(got, want) || other != sum {
			t.Errorf("%s: other hidden states or another sum", name)
		}
	}
	// A model stored in halves is the float32 model with the same values.
	bf16 := func(tensors []safetensors.Tensor) []safetensors.Tensor {
		for i, tensor := range tensors {
			half := make([]byte, len(tensor.Data)/2)
			for j := range tensor.Len() {
				copy(half[2*j:2*j+2], tensor.Data[4*j+2:])
			}
			tensors[i].DType, tensors[i].Data = safetensors.BF16, half
		}
		return tensors
	}
	cut := func(tensors []safetensors.Tensor) []safetensors.Tensor {
		for i, tensor := range tensors {
			data := bytes.Clone(tensor.Data)
			for j := range tensor.Len() {
				data[4*j], data[4*j+1] = 0, 0
			}
			tensors[i].Data = data
		}
		return tensors
	}
	got, gotSum := run(bf16)
	want, wantSum := run(cut)
	if !slices.Equal(got, want) || gotSum != wantSum {
		t.Error("BF16 weights differ from the same values as F32")
	}
	if gotSum == sum {
		t.Error("other weights have the same sum")
	}
}

func TestLoadNamesTheBadTensor(t *testing.T) {
	c := testConfig(t)
	find := func(tensors []safetensors.Tensor, name string) int {
		return slices.IndexFunc(tensors, func(x safetensors.Tensor) bool { return x.Name == name })
	}
	const down = "bert.encoder.layer.1.output.dense.weight"
	const words = "bert.embeddings.word_embeddings.weight"
	for _, test := range []struct {
		name, field, reason string
		edit                func([]safetensors.Tensor) []safetensors.Tensor
	}{
		{"missing", down, "tensor missing, expected shape [24 40]", func(x []safetensors.Tensor) []safetensors.Tensor {
			i := find(x, down)
			return slices.Delete(x, i, i+1)
		}},
		{"transposed", down, "expected [24 40], found [40 24]", func(x []safetensors.Tensor) []safetensors.Tensor {
			x[find(x, down)].Shape = []int{40, 24}
			return x
		}},
		{"integers", down, "dtype I32", func(x []safetensors.Tensor) []safetensors.Tensor {
			x[find(x, down)].DType = safetensors.I32
			return x
		}},
		{"NaN", "embeddings.word_embeddings.weight", "element 7 of the tensor is NaN", func(x []safetensors.Tensor) []safetensors.Tensor {
			return setFloat(x, find(x, words), 7, math.NaN())
		}},
		{"infinity", "encoder.layer.1.output.dense.weight", "element 959 of the tensor is -Inf", func(x []safetensors.Tensor) []safetensors.Tensor {
			return setFloat(x, find(x, down), 959, math.Inf(-1))
		}},
		{"nothing of it", "embeddings.token_type_embeddings.weight", "tensor missing", func(x []safetensors.Tensor) []safetensors.Tensor {
			return nil
		}},
	} {
		_, err := load(t, c, test.edit)
		var e *modelfile.Error
		if !errors.As(err, &e) || e.File != "weights" || e.Field != test.field || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v, want %s: %s", test.name, err, test.field, test.reason)
		}
	}
}

// Where in memory the weights and the result lie must not show in the result.
func TestPlaceInMemoryDoesNotMatter(t *testing.T) {
	c := testConfig(t)
	content, err := os.ReadFile("testdata/weights.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	ids := []int32{1, 2, 3, 49, 0, 17}
	var want []float32
	for shift := 0; shift < 64; shift += 4 {
		buf := make([]byte, len(content)+64)
		f, err := safetensors.Parse("weights", append(buf[shift:shift], content...))
		if err != nil {
			t.Fatal(err)
		}
		e, err := Load(c, Tensors(f))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(ids)*c.HiddenSize+16)[shift/4:][:len(ids)*c.HiddenSize]
		if err := e.Forward(t.Context(), ids, got); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Fatalf("weights %d bytes further on make other hidden states", shift)
		}
	}
}

func setFloat(tensors []safetensors.Tensor, tensor, element int, v float64) []safetensors.Tensor {
	data := bytes.Clone(tensors[tensor].Data)
	binary.LittleEndian.PutUint32(data[4*element:], math.Float32bits(float32(v)))
	tensors[tensor].Data = data
	return tensors
}

func TestReadConfigErrors(t *testing.T) {
	for data, want := range map[string]string{
		`{"model_type":"bert",}`:   "c.json: offset 21: broken JSON",
		`{"model_type":"roberta"}`: `c.json: "model_type": "roberta" is not supported`,
		`{}`:                       `c.json: "model_type": "" is not supported`,
		`{"model_type":"bert","hidden_size":"x"}`:                            `c.json: offset 38: "hidden_size": a JSON string`,
		`{"model_type":"bert","hidden_size":0}`:                              `c.json: "hidden_size": 0 is not between 1 and`,
		`{"model_type":"bert","hidden_size":4611686018427387904}`:            `c.json: "hidden_size": 4611686018427387904 is not between`,
		`{"model_type":"bert","num_attention_heads":5}`:                      `c.json: "num_attention_heads": 5 heads do not divide hidden_size 768`,
		`{"model_type":"bert","num_hidden_layers":-1}`:                       `c.json: "num_hidden_layers": -1 is not`,
		`{"model_type":"bert","max_position_embeddings":1048576}`:            `c.json: "max_position_embeddings": 1048576 tokens of these sizes need more than`,
		`{"model_type":"bert","hidden_act":"swish"}`:                         `c.json: "hidden_act": "swish" is not supported`,
		`{"model_type":"bert","layer_norm_eps":-1}`:                          `c.json: "layer_norm_eps": -1 is not between`,
		`{"model_type":"bert","position_embedding_type":"relative_key"}`:     `c.json: "position_embedding_type": "relative_key"`,
		`{"model_type":"bert","hidden_act":{"class_name":"GELUActivation"}}`: `c.json: offset 35: "hidden_act": a JSON object`,
	} {
		_, err := ReadConfig("c.json", []byte(data))
		var e *modelfile.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", data, err, want)
		}
	}
}

func TestForwardErrors(t *testing.T) {
	c := testConfig(t)
	e, err := load(t, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ids    []int32
		hidden int
		want   string
	}{
		{nil, 0, "0 tokens, the model takes 1 to 40"},
		{make([]int32, 41), 41 * 24, "41 tokens, the model takes 1 to 40"},
		{[]int32{1, 50}, 48, "token 1 has id 50"},
		{[]int32{-1}, 24, "token 0 has id -1"},
		{[]int32{1, 2}, 47, "47 floats for the hidden states, 2 tokens have 48"},
	} {
		err := e.Forward(t.Context(), test.ids, make([]float32, test.hidden))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d ids: %v, want %q", len(test.ids), err, test.want)
		}
	}
}

// countdown is a ctx that is cancelled after so many looks at it.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left == 0 {
		return context.Canceled
	}
	c.left--
	return nil
}

// However far a call has come, the next look at ctx ends it.
func TestForwardStopsWhenCancelled(t *testing.T) {
	c := testConfig(t)
	e, err := load(t, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids, hidden := make([]int32, 40), make([]float32, 40*c.HiddenSize)
	const many = 1 << 20
	ctx := &countdown{t.Context(), many}
	if err := e.Forward(ctx, ids, hidden); err != nil {
		t.Fatal(err)
	}
	looks := many - ctx.left
	if looks < 50*c.Layers {
		t.Fatalf("only %d looks at ctx", looks)
	}
	for i := range looks {
		ctx := &countdown{t.Context(), i}
		if err := e.Forward(ctx, ids, hidden); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled at look %d of %d: %v", i, looks, err)
		}
	}
}

func TestForwardTogether(t *testing.T) {
	c := testConfig(t)
	e, err := load(t, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, 40)
	for i := range ids {
		ids[i] = int32(i * 7 % c.VocabSize)
	}
	want := make([][]float32, len(ids)+1)
	for n := 1; n <= len(ids); n++ {
		want[n] = make([]float32, n*c.HiddenSize)
		if err := e.Forward(t.Context(), ids[:n], want[n]); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			got := make([]float32, len(ids)*c.HiddenSize)
			for round := range 20 {
				n := (g*13+round*5)%len(ids) + 1
				if err := e.Forward(t.Context(), ids[:n], got[:n*c.HiddenSize]); err != nil {
					t.Error(err)
				}
				if !slices.Equal(got[:n*c.HiddenSize], want[n]) {
					t.Errorf("%d tokens: other hidden states beside other calls", n)
				}
			}
		})
	}
	wg.Wait()
}

func TestForwardAllocatesNothing(t *testing.T) {
	c := testConfig(t)
	e, err := load(t, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids, hidden := make([]int32, 40), make([]float32, 40*c.HiddenSize)
	ctx := t.Context()
	n := testing.AllocsPerRun(20, func() {
		if err := e.Forward(ctx, ids, hidden); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}
