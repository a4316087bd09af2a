package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/onnx"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/static"
	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/types"
)

// Open opens the model in a folder, the one that a file of weights and its neighbours make, or a packed
// file. What a file is, its content says: what Pack wrote, safetensors, or ONNX, of which encoders of the BERT family are read, from whichever
// exporter, optimiser or quantiser (see package onnx). A folder is read in the layout of sentence-transformers;
// without a model.safetensors its model.onnx is taken, or that in its folder onnx, or one under the usual
// names of quantised ones. An ONNX file needs nothing but a tokeniser beside it, or, if its folder is called
// onnx, in the folder above; TokenizerFile names another one. What the graph does not say is taken from the
// configurations that are there, and without any: as many tokens as there are positions, mean pooling, no
// normalisation.
//
// The weights are mapped into memory, not copied: a file that someone cuts short while it is in use
// crashes the process, so replace models by new files; OpenFS(os.DirFS(path), ".") copies instead.
// opts hold for every call that does not say otherwise.
//
// Errors: *FormatError for what is no readable model, *OptionError.
// Cost:   of all-MiniLM-L6-v2, a packed file 10 ms and 36 MB that processes share. Otherwise all weights are
// read once, to check them and to name the space: 25 ms if their int8 form is in the cache, two seconds if it
// has to be made; 30 ms and 42 MB, for the layers' matrices, in float32. Quantised weights become float32
// first, one tensor at a time.
func Open(path string, opts ...Option) (*Model, error) {
	f, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	m, err := f.open(opts)
	if err != nil {
		f.close()
	}
	return m, err
}

// openFolder is the folder at path, or that of a file, or that in a packed file. It is to be closed if no
// model comes of it.
func openFolder(path string) (*folder, error) {
	dir, file, err := locate(path)
	if err != nil {
		return nil, err
	}
	if file != "" {
		if f, err := packedFolder(path); f != nil || err != nil {
			return f, err
		}
	}
	return diskFolder(dir, file), nil
}

// close gives back what openFolder has opened.
func (f *folder) close() {
	if f.packed != nil {
		f.packed.file.Close()
	}
}

func diskFolder(dir, file string) *folder {
	display := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	return &folder{
		fsys:    os.DirFS(dir),
		dir:     ".",
		name:    folderName(dir),
		file:    file,
		opening: opening{cache: defaultCache()},
		display: display,
		weights: func(name string) (*safetensors.File, error) { return safetensors.Open(display(name)) },
		graph:   func(name string) (*onnx.Model, error) { return onnx.Open(display(name)) },
	}
}

// packedFolder is the folder in a packed file, nil if the file is no packed one.
func packedFolder(path string) (*folder, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, modelfile.Wrap(path, err)
	}
	defer file.Close()
	head := make([]byte, 16)
	if n, _ := io.ReadFull(file, head); !safetensors.Sniff(head[:n]) {
		return nil, nil
	}
	packed, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	if !isPacked(packed) {
		return nil, packed.Close()
	}
	e, man, err := loadPacked(packed)
	if err != nil {
		packed.Close()
		return nil, err
	}
	return &folder{
		fsys:    packedFiles{packed},
		dir:     ".",
		name:    man.Name,
		packed:  &packedModel{packed, e, man},
		display: func(name string) string { return path + "/" + name },
	}, nil
}

// OpenTokenizer opens the tokeniser of the model at path, as Open finds it, and no weights.
func OpenTokenizer(path string) (*tokenizer.Tokenizer, error) {
	f, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.openTokenizer(f.dir)
}

// locate splits path into the folder of a model and the file of its weights, "" if path is the folder.
func locate(path string) (dir, file string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", "", modelfile.Wrap(path, err)
	}
	if info.IsDir() {
		return path, "", nil
	}
	dir, file = filepath.Dir(path), filepath.Base(path)
	if abs, err := filepath.Abs(dir); err == nil && filepath.Base(abs) == "onnx" && !holdsModel(dir) {
		return filepath.Dir(abs), "onnx/" + file, nil
	}
	return dir, file, nil
}

// holdsModel reports whether dir has the files that belong beside weights.
func holdsModel(dir string) bool {
	for _, name := range []string{"tokenizer.json", "vocab.txt", modulesFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// OpenFS is Open for the folder dir of fsys. It reads the weights into memory.
func OpenFS(fsys fs.FS, dir string, opts ...Option) (*Model, error) {
	info, err := fs.Stat(fsys, dir)
	if err != nil {
		return nil, modelfile.Wrap(dir, err)
	}
	if !info.IsDir() {
		return nil, modelfile.Errorf(dir, "", "not a folder")
	}
	f := &folder{
		fsys:    fsys,
		dir:     dir,
		name:    path.Base(dir),
		display: func(name string) string { return name },
		weights: func(name string) (*safetensors.File, error) { return safetensors.OpenFS(fsys, name) },
		graph:   func(name string) (*onnx.Model, error) { return onnx.OpenFS(fsys, name) },
	}
	return f.open(opts)
}

// open builds the model. What it has opened is closed again on an error.
func (f *folder) open(opts []Option) (_ *Model, err error) {
	if _, err := cpu.Detect(); err != nil {
		return nil, err // a wrong MAI_CPU, at the first call that can say so
	}
	opts = f.opening.read(opts)
	parts, err := f.readModules()
	if err != nil {
		return nil, err
	}
	weights, err := f.findWeights(parts.transformer)
	if err != nil {
		return nil, err
	}
	f.weightsName = weights.name
	m := &Model{free: newScratches()}
	release := func() error {
		err := weights.Close()
		if e, ok := m.encoder.(*bertEncoder); ok && e.cached != nil {
			err = errors.Join(err, e.cached.Close())
		}
		return err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	m.gate = newGate(release)
	if m.tokenizer, err = f.openTokenizer(parts.transformer); err != nil {
		return nil, err
	}
	m.card = f.readCard(parts.transformer)
	if m.prompts, err = f.readPrompts(m.card.names); err != nil {
		return nil, err
	}
	if parts.static && !isStatic(weights.tensors) {
		return nil, modelfile.Errorf(weights.Name(), static.TensorRows, "tensor missing, a table has its rows in it")
	}
	switch prompted := m.prompts != [3]string{}; {
	case f.packed != nil:
		m.encoder, m.defaults.maxTokens, m.packed, err = f.openPacked(parts, m.tokenizer, prompted)
	case weights.graph != nil:
		m.encoder, m.defaults.maxTokens, err = f.openGraph(parts, weights.graph, m.tokenizer, prompted)
	case isStatic(weights.tensors):
		m.encoder, m.defaults.maxTokens, err = f.openStatic(parts, weights.tensors, m.tokenizer)
	default:
		m.encoder, m.defaults.maxTokens, err = f.openBERT(parts, weights.tensors, m.tokenizer, prompted)
	}
	if err != nil {
		return nil, err
	}
	if have, rows := m.tokenizer.Size(), m.encoder.size(); have > rows {
		return nil, f.errorf(parts.transformer, "", "the tokeniser has %d tokens, the embeddings only %d rows", have, rows)
	}
	m.defaults.class, m.defaults.queueLimit = classes, defaultQueueLimit
	m.defaults.dims = m.encoder.dim()
	if m.defaults, err = m.intoFloats(opts); err != nil {
		return nil, err
	}
	if m.encoder.batchTokens() > 0 {
		m.batcher = newBatcher(m.encoder, m.gate, m.free)
	}
	m.nameSpaces()
	if texts := m.packed.Golden; len(texts) > 0 {
		if err := m.checkGolden(context.Background(), texts[:1]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// openTokenizer opens the tokeniser that the options name, or that in dir.
func (f *folder) openTokenizer(dir string) (*tokenizer.Tokenizer, error) {
	if file := f.opening.tokenizer; file != "" {
		return tokenizer.Open(file)
	}
	t, err := tokenizer.OpenFS(f.fsys, dir)
	if err != nil {
		err = f.renamed(err)
	}
	return t, err
}

// isStatic reports whether the weights are a table and not a network.
func isStatic(weights *safetensors.File) bool {
	if weights == nil {
		return false
	}
	for _, name := range []string{static.TensorRows, static.TensorInt4} {
		if _, ok := weights.Tensor(name); ok {
			return true
		}
	}
	return false
}

// openStatic makes a static encoder and the length to which its texts are cut, 0 for none. The
// configuration may be missing.
func (f *folder) openStatic(parts modules, weights *safetensors.File, t *tokenizer.Tokenizer) (encoder, int, error) {
	name := path.Join(parts.transformer, configFile)
	config, err := modelfile.ReadFile(f.fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, f.renamed(err)
	}
	table, err := static.Load(weights, config, t)
	if err != nil {
		var bad *modelfile.Error
		if errors.As(err, &bad) && bad.File == configFile { // the bytes had no other name
			bad.File = f.display(name)
		}
		return nil, 0, err
	}
	limit := table.MaxTokens()
	if limit > 0 {
		limit += len(t.Special().Before) + len(t.Special().After) // the table's maker counts without them
	}
	e := &staticEncoder{table: table, head: head{width: table.Dim()}}
	e.head.stages, err = f.readStages(parts.stages, e.head.width)
	return e, limit, err
}

// openBERT makes a BERT encoder and the length to which its texts are cut.
func (f *folder) openBERT(parts modules, weights *safetensors.File, t *tokenizer.Tokenizer, prompted bool) (encoder, int, error) {
	name := path.Join(parts.transformer, configFile)
	data, err := modelfile.ReadFile(f.fsys, name)
	if err != nil {
		return nil, 0, f.renamed(err)
	}
	config, err := bert.ReadConfig(f.display(name), data)
	if err != nil {
		return nil, 0, err
	}
	e := &bertEncoder{config: config}
	if e.head, err = f.readHead(parts, config.HiddenSize, prompted); err != nil {
		return nil, 0, err
	}
	limit, err := f.maxTokens(parts.transformer, config.Positions, t)
	if err != nil {
		return nil, 0, err
	}
	return e, limit, e.load(bert.Tensors(weights), t, &f.opening)
}

// openPacked makes the encoder of a packed file and the length to which its texts are cut.
func (f *folder) openPacked(parts modules, t *tokenizer.Tokenizer, prompted bool) (encoder, int, manifest, error) {
	q, man := f.packed.int8, f.packed.manifest
	e := &bertEncoder{config: q.Config(), int8: q, graph: man.Graph, run: f.opening.runner}
	var err error
	if e.head, err = f.readHead(parts, e.config.HiddenSize, prompted); err != nil {
		return nil, 0, man, err
	}
	if g := man.Graph; g != nil {
		if err := f.poolInGraph(&e.head, f.packed.file.Name(), g); err != nil {
			return nil, 0, man, err
		}
	}
	limit, err := f.maxTokens(parts.transformer, e.config.Positions, t)
	return e, limit, man, err
}

// nameSpaces makes the SpaceIDs of float32 vectors of all dimensions: words for people, and a hash over
// all that a vector depends on. The hash covers the prompts of all roles, so that the spaces of one model
// differ in the role's word alone; a role without a prompt is the space of no role.
func (m *Model) nameSpaces() {
	h := sha256.New()
	sum := m.encoder.sum()
	fmt.Fprintf(h, "%x\n%s\n%s\n%d\n%s\n%q", sum, m.tokenizer.Vocab(), m.encoder.shape(), m.encoder.dim(), m.encoder.precision(), m.prompts)
	name := fmt.Sprintf("%s/%s/%s", m.encoder.shape(), m.encoder.precision(), hex.EncodeToString(h.Sum(nil)[:12]))
	for r, word := range [3]string{"", "query", "document"} {
		m.spaces[r] = types.SpaceID(name)
		if m.prompts[r] != m.prompts[roleNone] {
			m.spaces[r] = types.SpaceID(strings.TrimSuffix(name+"/"+word, "/"))
		}
	}
	m.space = m.spaceOf(m.defaults)
}
