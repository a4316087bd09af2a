package models

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/models/modelfile"
)

const onnxData = "onnx/testdata/"

// graphFolder makes a folder of copies: names in it to files here, and a vocabulary of 50 tokens.
func graphFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), data)
	}
	words := "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n"
	write(t, filepath.Join(dir, "vocab.txt"), []byte(words))
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

func embedHello(t *testing.T, path string, opts ...Option) ([]float32, *Model) {
	t.Helper()
	m, err := Open(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	e, err := m.Embed(context.Background(), "hello world")
	if err != nil {
		t.Fatal(err)
	}
	return e.F32, m
}

// An ONNX file is found wherever people have it, and is the same model everywhere.
func TestOpenFindsONNX(t *testing.T) {
	const graph = onnxData + "dynamo-mean.onnx"
	want, m := embedHello(t, graphFolder(t, map[string]string{"model.onnx": graph}))
	if len(want) != 16 || m.defaults.maxTokens != 24 {
		t.Fatalf("%d components, %d tokens, want 16 and the 24 positions", len(want), m.defaults.maxTokens)
	}
	for _, c := range []struct {
		file, open string
	}{
		{"onnx/model.onnx", ""}, {"model_quantized.onnx", ""}, {"onnx/model_int8.onnx", ""},
		{"any.onnx", "any.onnx"}, {"onnx/any.onnx", "onnx/any.onnx"}, {"named as nothing", "named as nothing"},
	} {
		dir := graphFolder(t, map[string]string{c.file: graph})
		got, other := embedHello(t, filepath.Join(dir, c.open))
		if !slices.Equal(got, want) || other.Space() != m.Space() {
			t.Errorf("%s: another vector or space", c.file)
		}
		if tok, err := OpenTokenizer(filepath.Join(dir, c.open)); err != nil || tok.Size() != 7 {
			t.Errorf("%s: tokeniser: %v", c.file, err)
		}
	}
	// The tokeniser from elsewhere.
	dir := graphFolder(t, map[string]string{"m/model.onnx": graph})
	if _, err := Open(filepath.Join(dir, "m")); err == nil {
		t.Error("opened without a tokeniser")
	}
	got, _ := embedHello(t, filepath.Join(dir, "m"), TokenizerFile(filepath.Join(dir, "vocab.txt")))
	if !slices.Equal(got, want) {
		t.Error("with a tokeniser from elsewhere: another vector")
	}
	// Without a mapping.
	fromFS, err := OpenFS(os.DirFS(graphFolder(t, map[string]string{"model.onnx": graph})), ".")
	if err != nil {
		t.Fatal(err)
	}
	defer fromFS.Close()
	if fromFS.Space() != m.Space() {
		t.Error("OpenFS: another space")
	}
	// safetensors come first, and files of other names are not guessed at.
	dir = graphFolder(t, map[string]string{"model.onnx": graph, "model.safetensors": graph})
	if _, err := Open(dir); err != nil {
		t.Errorf("an ONNX file called model.safetensors: %v", err)
	}
	var missing *modelfile.Error
	if _, err := Open(graphFolder(t, map[string]string{"other.onnx": graph})); !errors.As(err, &missing) || !strings.Contains(err.Error(), "other.onnx") {
		t.Errorf("a folder with another ONNX file: %v", err)
	}
}

// Where the graph ends with hidden states the configured pooling counts; where it pools, it decides.
func TestPoolingOfGraphs(t *testing.T) {
	const modules = `[{"path":"","type":"Transformer"},{"path":"1_Pooling","type":"Pooling"},{"path":"2","type":"Normalize"}]`
	open := func(graph string, configured bool) (*Model, []float32) {
		dir := graphFolder(t, map[string]string{"model.onnx": onnxData + graph})
		if configured {
			write(t, filepath.Join(dir, "modules.json"), []byte(modules))
			write(t, filepath.Join(dir, "1_Pooling/config.json"), []byte(`{"pooling_mode":"cls"}`))
		}
		v, m := embedHello(t, dir)
		return m, v
	}
	for _, c := range []struct {
		graph      string
		configured bool
		want       string
	}{
		{"torchscript.onnx", false, "bert-2x16-mean"},
		{"torchscript.onnx", true, "bert-2x16-cls-unit"},
		{"dynamo-mean.onnx", false, "bert-2x16-mean-unit"},
		{"dynamo-mean.onnx", true, "bert-2x16-mean-unit"},
		{"torchscript-max.onnx", false, "bert-2x16-max"},
		{"torchscript-max.onnx", true, "bert-2x16-max-unit"},
	} {
		m, v := open(c.graph, c.configured)
		if s := m.encoder.shape(); s != c.want {
			t.Errorf("%s, configured %v: %s, want %s", c.graph, c.configured, s, c.want)
		}
		var sum float64
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		if unit := sum > 0.9999 && sum < 1.0001; unit != strings.HasSuffix(c.want, "unit") {
			t.Errorf("%s, configured %v: length² %g", c.graph, c.configured, sum)
		}
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	dir := graphFolder(t, nil)
	for name, data := range map[string]string{"text.onnx": "hello, this is no model", "short": "\x08", "zeros.onnx": strings.Repeat("\x00", 64)} {
		path := filepath.Join(dir, name)
		write(t, path, []byte(data))
		_, err := Open(path)
		var bad *modelfile.Error
		if !errors.As(err, &bad) || bad.File != path || !strings.Contains(err.Error(), "neither safetensors nor ONNX") {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := Open(graphFolder(t, map[string]string{"model.onnx": onnxData + "gemm.onnx"}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var option *OptionError
	if _, err := m.Embed(context.Background(), "a", TokenizerFile("x")); !errors.As(err, &option) {
		t.Errorf("TokenizerFile in a call: %v", err)
	}
}
