package models

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/onnx"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// weights are an open file of weights: one of the two, also for a packed file.
type weights struct {
	name    string // in the folder's file system
	tensors *safetensors.File
	graph   *onnx.Model
}

func (w weights) Name() string {
	if w.graph != nil {
		return w.graph.Name()
	}
	return w.tensors.Name()
}

func (w weights) Close() error {
	if w.graph != nil {
		return w.graph.Close()
	}
	return w.tensors.Close()
}

// weightsNames are the files that a folder may have its weights in, best first. Those of ONNX are the
// names under which exporters write and quantise.
var weightsNames = func() []string {
	names := []string{weightsFile}
	for _, name := range []string{
		"model.onnx", "model_optimized.onnx", "model_fp16.onnx",
		"model_quantized.onnx", "model_int8.onnx", "model_uint8.onnx",
	} {
		names = append(names, name, "onnx/"+name)
	}
	return names
}()

// findWeights opens the weights in dir: the file that was named, or the first of weightsNames.
func (f *folder) findWeights(dir string) (weights, error) {
	if f.packed != nil {
		return weights{tensors: f.packed.file}, nil
	}
	names := weightsNames
	if f.file != "" {
		names = []string{f.file}
	}
	for _, name := range names {
		if _, err := fs.Stat(f.fsys, path.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return f.openWeights(path.Join(dir, name))
		}
	}
	entries, err := fs.ReadDir(f.fsys, dir)
	if err != nil {
		return weights{}, f.renamed(modelfile.Wrap(dir, err))
	}
	var others []string
	for _, e := range entries {
		switch path.Ext(e.Name()) {
		case ".safetensors", ".bin", ".pt", ".onnx", ".gguf", ".h5":
			others = append(others, e.Name())
		}
	}
	bad := &modelfile.Error{File: f.display(path.Join(dir, names[0])), Offset: -1, Reason: "no weights in the folder", Err: fs.ErrNotExist}
	if len(others) > 0 {
		bad.Reason += ", and without being named this version does not read " + strings.Join(others, ", ")
	}
	return weights{}, bad
}

// openWeights opens a file as what its content says.
func (f *folder) openWeights(name string) (w weights, err error) {
	w.name = name
	head, err := f.beginning(name)
	if err != nil {
		return w, f.renamed(err)
	}
	switch {
	case safetensors.Sniff(head):
		w.tensors, err = f.weights(name)
	case onnx.Sniff(head):
		w.graph, err = f.graph(name)
	case path.Ext(name) == path.Ext(weightsFile): // the reader says what is wrong
		w.tensors, err = f.weights(name)
	default:
		err = f.errorf(name, "", "not a model: neither safetensors nor ONNX")
	}
	return w, err
}

// beginning reads what tells formats apart.
func (f *folder) beginning(name string) ([]byte, error) {
	info, err := fs.Stat(f.fsys, name)
	if err != nil {
		return nil, modelfile.Wrap(name, err)
	}
	if err := modelfile.CheckInfo(name, info); err != nil {
		return nil, err
	}
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, modelfile.Wrap(name, err)
	}
	defer file.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, modelfile.Wrap(name, err)
	}
	return head[:n], nil
}

// openGraph makes an encoder of an ONNX model, whose graph says what a config.json would, and the length
// to which its texts are cut.
func (f *folder) openGraph(parts modules, graph *onnx.Model, t *tokenizer.Tokenizer, prompted bool) (encoder, int, error) {
	config := graph.Config()
	e := &bertEncoder{config: config}
	var err error
	if e.head, err = f.readHead(parts, config.HiddenSize, prompted); err != nil {
		return nil, 0, err
	}
	if p := graph.Pooling(); p != "" {
		e.graph = &pooled{Pooling: string(p), Normalize: graph.Normalize()}
		if err := f.poolInGraph(&e.head, graph.Name(), e.graph); err != nil {
			return nil, 0, err
		}
	}
	limit, err := f.maxTokens(parts.transformer, config.Positions, t)
	if err != nil {
		return nil, 0, err
	}
	if err := e.load(graph, t, &f.opening); err != nil {
		return nil, 0, err
	}
	if !graph.Lent() {
		err = graph.Close()
	}
	return e, limit, err
}

// poolInGraph puts what the graph does with the hidden states in the place of what the modules say, which
// is the same in other words, or nothing.
func (f *folder) poolInGraph(h *head, name string, graph *pooled) error {
	if slices.ContainsFunc(h.stages, func(s stage) bool { return s.weight != nil }) {
		return modelfile.Errorf(name, "", "the graph pools, and %s has a Dense module: expected the hidden states of the tokens as the only output", f.display(path.Join(f.dir, modulesFile)))
	}
	normalize := len(h.stages) > 0 || graph.Normalize
	*h = head{pools: []pooling{pooling(graph.Pooling)}, width: h.width / len(h.pools)}
	if normalize {
		h.stages = []stage{{in: h.width, out: h.width}}
	}
	return nil
}
