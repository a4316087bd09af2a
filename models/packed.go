package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"time"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
)

// A packed file is a safetensors file of which the tensors are the arrays of an int8 encoder as they lie in
// memory, the small files of the model's folder under names that begin with filePrefix, and a manifest that
// has the checksums of all others. Its metadata has the checksum of the manifest: no byte that is read is
// covered by none.
const (
	packedFormat   = "gomai-packed"
	packedVersion  = 1 // of the layout; other versions are refused
	packedRecipe   = "int8-r2"
	manifestTensor = "manifest"
	filePrefix     = "model/"
)

// manifest says what a packed file was made from and how good it is.
type manifest struct {
	Version int               `json:"version"`
	Recipe  string            `json:"recipe"` // of the numbers: what Precision and SpaceID cover
	Source  string            `json:"source"` // bert.SourceSum of the weights that were packed, in hex
	Sum     string            `json:"sum"`    // Int8.Sum
	Config  bert.Config       `json:"config"`
	Quality bert.Quality      `json:"quality"`
	Tensors map[string]crc32c `json:"tensors"`

	// Of a file that stands alone.
	Name         string   `json:"name,omitempty"`          // of the model's folder, by which its prompts may be known
	SourceFile   string   `json:"source_file,omitempty"`   // the name of the file of weights
	SourceSHA256 string   `json:"source_sha256,omitempty"` // of its bytes
	Licence      string   `json:"licence,omitempty"`
	Graph        *pooled  `json:"graph,omitempty"` // what an ONNX graph did with the hidden states, nil if nothing
	Golden       []golden `json:"golden,omitempty"`
}

// pooled is how a graph makes a vector of hidden states.
type pooled struct {
	Pooling   string `json:"pooling"`
	Normalize bool   `json:"normalize"`
}

// golden is a text and the vector that the packer's machine gave it.
type golden struct {
	Text   string `json:"text"`
	Vector string `json:"vector"` // (dim,) float32, little-endian, in base64
}

type crc32c uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) crc32c { return crc32c(crc32.Checksum(data, castagnoli)) }

// writePacked writes an encoder, the files of its folder, if it is to stand alone, and what man says.
func writePacked(w io.Writer, e *bert.Int8, man manifest, files map[string][]byte) error {
	tensors := e.Tensors()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		tensors = append(tensors, safetensors.Tensor{
			Name: filePrefix + name, DType: safetensors.U8, Shape: []int{len(files[name])}, Data: files[name],
		})
	}
	sum := e.Sum()
	man.Version, man.Recipe, man.Config, man.Quality, man.Sum = packedVersion, packedRecipe, e.Config(), e.Quality(), hex.EncodeToString(sum[:])
	man.Tensors = map[string]crc32c{}
	for _, t := range tensors {
		man.Tensors[t.Name] = checksum(t.Data)
	}
	data, err := json.Marshal(man)
	if err != nil {
		return err
	}
	tensors = append(tensors, safetensors.Tensor{Name: manifestTensor, DType: safetensors.U8, Shape: []int{len(data)}, Data: data})
	return safetensors.Write(w, tensors, map[string]string{
		"format": packedFormat, "manifest_crc32c": fmt.Sprintf("%08x", checksum(data)),
	})
}

// isPacked reports whether f is a packed file, or claims to be.
func isPacked(f *safetensors.File) bool { return f.Metadata()["format"] == packedFormat }

// packedModel is an open packed file.
type packedModel struct {
	file     *safetensors.File
	int8     *bert.Int8
	manifest manifest
}

// loadPacked makes the encoder of a packed file.
func loadPacked(f *safetensors.File) (*bert.Int8, manifest, error) {
	man, err := readPacked(f)
	if err != nil {
		return nil, man, err
	}
	sum, err := hex.DecodeString(man.Sum)
	if err != nil || len(sum) != sha256.Size {
		return nil, man, modelfile.Errorf(f.Name(), manifestTensor, "%q is no sum", man.Sum)
	}
	e, err := bert.LoadInt8(man.Config, f, [sha256.Size]byte(sum), man.Quality)
	return e, man, err
}

// readPacked checks every byte of a packed file.
func readPacked(f *safetensors.File) (manifest, error) {
	var man manifest
	t, ok := f.Tensor(manifestTensor)
	if !ok {
		return man, modelfile.Errorf(f.Name(), manifestTensor, "tensor missing")
	}
	if want := f.Metadata()["manifest_crc32c"]; want != fmt.Sprintf("%08x", checksum(t.Data)) {
		return man, modelfile.Errorf(f.Name(), manifestTensor, "damaged: the checksum is %08x, not %s", checksum(t.Data), want)
	}
	if err := json.Unmarshal(t.Data, &man); err != nil {
		return man, &modelfile.Error{File: f.Name(), Offset: -1, Field: manifestTensor, Err: err}
	}
	if man.Version != packedVersion || man.Recipe != packedRecipe {
		return man, modelfile.Errorf(f.Name(), manifestTensor, "packed in version %d by the recipe %s, this program reads version %d of %s: pack the model again",
			man.Version, man.Recipe, packedVersion, packedRecipe)
	}
	if err := man.Config.Check(f.Name()); err != nil {
		return man, err
	}
	for _, t := range f.Tensors() {
		if t.Name == manifestTensor {
			continue
		}
		want, ok := man.Tensors[t.Name]
		if got := checksum(t.Data); !ok || got != want {
			return man, modelfile.Errorf(f.Name(), t.Name, "damaged: the checksum is %08x, not %08x", got, want)
		}
	}
	return man, nil
}

// newGolden keeps a vector.
func newGolden(text string, vector []float32) golden {
	data := make([]byte, 0, 4*len(vector))
	for _, v := range vector {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return golden{text, base64.StdEncoding.EncodeToString(data)}
}

// vector returns what was kept.
func (g *golden) vector() ([]float32, error) {
	data, err := base64.StdEncoding.DecodeString(g.Vector)
	if err != nil || len(data)%4 != 0 {
		return nil, fmt.Errorf("the golden vector of %q is no list of numbers", g.Text)
	}
	v := make([]float32, len(data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return v, nil
}

// packedFiles are the small files in a packed file, as the folder that they come from.
type packedFiles struct{ file *safetensors.File }

func (p packedFiles) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	t, ok := p.file.Tensor(filePrefix + name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &packedFileReader{Reader: bytes.NewReader(t.Data), name: path.Base(name)}, nil
}

// packedFileReader is one of them, and its own fs.FileInfo.
type packedFileReader struct {
	*bytes.Reader
	name string
}

func (r *packedFileReader) Stat() (fs.FileInfo, error) { return r, nil }
func (r *packedFileReader) Close() error               { return nil }
func (r *packedFileReader) Name() string               { return r.name }
func (r *packedFileReader) Mode() fs.FileMode          { return 0o444 }
func (r *packedFileReader) ModTime() time.Time         { return time.Time{} }
func (r *packedFileReader) IsDir() bool                { return false }
func (r *packedFileReader) Sys() any                   { return nil }
