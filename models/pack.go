package models

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/types"
)

// Progress gives Open and Pack somebody to tell how far packing is. It is for them alone.
func Progress(f func(stage string, done, total int)) Option {
	return Option{Kind: types.OptionProgress, Any: f}
}

// Licence gives Pack the licence of the model, if its files do not say it. It is for Pack alone.
func Licence(name string) Option { return Option{Kind: types.OptionLicence, Any: name} }

// Cache gives Open the folder that it keeps packed models in, instead of the folder gomai/packed in the
// user's cache; with "" they stay in memory and are packed again by the next process. It is for Open alone.
func Cache(dir string) Option { return Option{Kind: types.OptionCache, Any: dir} }

// defaultCache is where packed models are kept, "" if the user has no cache.
func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "gomai", "packed")
}

// Pack writes the model at path, with all that belongs to it, to one file, which Open opens at once and
// which needs nothing beside it. The model must be an encoder that has an int8 form.
//
// The file is a safetensors file: the int8 form in the order in which it is computed on every level, the
// model's small files as they are, checksums of all, the hash of what was packed, and texts with their
// vectors, by which Open, Warm and CheckGolden see that a machine computes what the packer's did.
//
// Errors: as Open, *OptionError if the model has no int8 form, and those of writing; no half file is left.
// Cost:   a second or two for all-MiniLM-L6-v2, of which the file has 35 MB.
func Pack(ctx context.Context, path, out string, opts ...Option) (Description, error) {
	// Before the work, not after it.
	if info, err := os.Stat(filepath.Dir(out)); err != nil {
		return Description{}, err
	} else if !info.IsDir() {
		return Description{}, &fs.PathError{Op: "create", Path: out, Err: errors.New("not in a folder")}
	}
	if info, err := os.Stat(out); err == nil && !info.Mode().IsRegular() {
		return Description{}, &fs.PathError{Op: "create", Path: out, Err: errors.New("there is something else than a file")}
	}
	f, err := openFolder(path)
	if err != nil {
		return Description{}, err
	}
	if f.packed != nil {
		f.close()
		return Description{}, modelfile.Errorf(path, "", "packed already")
	}
	files := &recorder{FS: f.fsys, read: map[string]bool{}}
	f.fsys = files
	var given opening
	if given.read(opts); given.tokenizer != "" {
		return Description{}, &OptionError{"TokenizerFile", "what is packed is in the model's folder: put the file there"}
	}
	m, err := f.open(append(slices.Clone(opts), Precision(Int8), Cache("")))
	if err != nil {
		return Description{}, err
	}
	defer m.Close()
	e, ok := m.encoder.(*bertEncoder)
	if !ok {
		return Description{}, &OptionError{"Pack", "a static table is one file already, and opens as fast"}
	}
	man := manifest{Name: f.name, Licence: given.licence, Graph: e.graph, SourceFile: f.weightsName}
	if man.Licence == "" {
		man.Licence = cardLicence(f.readText(cardFile))
	}
	if man.SourceSHA256, err = fileSHA256(f.display(f.weightsName)); err != nil {
		return Description{}, err
	}
	v := make([]float32, e.dim())
	for _, text := range goldenTexts {
		if err := m.embedGolden(ctx, text, v); err != nil {
			return Description{}, err
		}
		man.Golden = append(man.Golden, newGolden(text, v))
	}
	content, err := files.content(f.weightsName)
	if err != nil {
		return Description{}, err
	}
	err = writeWhole(out, func(w io.Writer) error { return writePacked(w, e.int8, man, content) })
	return m.Describe(), err
}

// goldenTexts are the texts whose vectors stand in a packed file, the shortest first.
var goldenTexts = []string{
	"Yes.",
	"How much is it?",
	"The ferry leaves at ten past six.",
	"def area(r): return 3.14159 * r ** 2",
	"Пароль не подошёл, попробуйте ещё раз.",
	"Error 503 at /v1/orders: upstream timed out after 30000 ms (request 8f3a).",
	"She put the letter back into the drawer, locked it, and told nobody for eleven years what it had said about the house and the two brothers who built it.",
	strings.Repeat("A long text must come out the same as a short one does, whatever blocks it is cut into. ", 6),
}

// CheckGolden embeds the texts that the packer put into the model's file, and compares their vectors with
// those that it got: bit by bit, or, if some layers compute in float32, up to rounding. A model that was not
// packed has none and passes.
//
// Errors: *GoldenError, and as EmbedInto.
func (m *Model) CheckGolden(ctx context.Context) error { return m.checkGolden(ctx, m.packed.Golden) }

// GoldenError says that a packed model does not compute here what it did where it was packed.
type GoldenError struct {
	Text   string
	Cosine float64 // of the two vectors
	Level  string  // that runs here
}

func (e *GoldenError) Error() string {
	return fmt.Sprintf("models: on the level %s the vector of %q is not the one that the packer of the model got (cosine %.6f): MAI_CPU sets another level", e.Level, e.Text, e.Cosine)
}

// floatCosine is the least cosine between vectors that float32 layers make on two levels.
const floatCosine = 1 - 1e-6

func (m *Model) checkGolden(ctx context.Context, texts []golden) error {
	level, err := cpu.Detect()
	if err != nil {
		return err
	}
	got := make([]float32, m.encoder.dim())
	exact := true
	if e, ok := m.encoder.(*bertEncoder); ok && e.int8 != nil {
		q := e.int8.Quality()
		exact = len(q.FloatLayers()) == 0
	}
	for i := range texts {
		want, err := texts[i].vector()
		if err != nil || len(want) != len(got) {
			return modelfile.Errorf("", manifestTensor, "the golden vector of %q has %d components, the model %d", texts[i].Text, len(want), len(got))
		}
		if err := m.embedGolden(ctx, texts[i].Text, got); err != nil {
			return err
		}
		same := slices.EqualFunc(got, want, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
		if c := cosine(got, want); !same && (exact || !(c >= floatCosine)) {
			return &GoldenError{Text: texts[i].Text, Cosine: c, Level: level.String()}
		}
	}
	return nil
}

// embedGolden makes a vector that no option of Open has a part in.
func (m *Model) embedGolden(ctx context.Context, text string, dst []float32) error {
	if !m.gate.enter() {
		return ErrClosed
	}
	defer m.gate.leave()
	_, err := m.embedText(ctx, settings{maxTokens: m.encoder.positions(), dims: len(dst), direct: true}, text, dst)
	return err
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		ab += float64(x) * float64(b[i])
		aa += float64(x) * float64(x)
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// writeWhole writes a file that appears under its name when it is whole.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", modelfile.Wrap(path, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", modelfile.Wrap(path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// recorder is a file system that notes which of its files are read, for a packer that takes them along.
type recorder struct {
	fs.FS
	read map[string]bool
}

func (r *recorder) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err == nil {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			r.read[name] = true
		}
	}
	return f, err
}

// content returns what was read but for the weights.
func (r *recorder) content(weights string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name := range r.read {
		if name == weights {
			continue
		}
		data, err := fs.ReadFile(r.FS, name)
		if err != nil {
			return nil, modelfile.Wrap(name, err)
		}
		files[name] = data
	}
	return files, nil
}
