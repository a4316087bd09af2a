// Package safetensors reads and writes the safetensors format: named tensors in one file, described
// by a JSON header. A file is checked as a whole before any tensor is handed out, so a tensor can be
// trusted to lie inside its file and to have the bytes that its shape asks for.
//
// What the numbers mean is not known here: that belongs to the models.
//
// Source: https://github.com/huggingface/safetensors (format description in its README).
package safetensors

import (
	"io/fs"
	"os"
	"slices"

	"github.com/maida-ai/gomai/internal/mapped"
	"github.com/maida-ai/gomai/models/modelfile"
)

// DType is the type of a tensor's elements, spelt as in the file.
type DType string

// The element types that the format defines and that whole bytes hold.
const (
	Bool   DType = "BOOL"
	U8     DType = "U8"
	I8     DType = "I8"
	F8E5M2 DType = "F8_E5M2"
	F8E4M3 DType = "F8_E4M3"
	I16    DType = "I16"
	U16    DType = "U16"
	F16    DType = "F16"
	BF16   DType = "BF16"
	I32    DType = "I32"
	U32    DType = "U32"
	F32    DType = "F32"
	I64    DType = "I64"
	U64    DType = "U64"
	F64    DType = "F64"
)

// Size is the number of bytes of one element, 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case Bool, U8, I8, F8E5M2, F8E4M3:
		return 1
	case I16, U16, F16, BF16:
		return 2
	case I32, U32, F32:
		return 4
	case I64, U64, F64:
		return 8
	}
	return 0
}

// Tensor is a named array: row-major, little-endian.
type Tensor struct {
	Name  string
	DType DType
	Shape []int  // empty for a scalar
	Data  []byte // when read, a view of the file: valid until it is closed, not to be written to
}

// Len is the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is an open safetensors file. It is immutable and safe for concurrent use until Close.
type File struct {
	name     string
	tensors  []Tensor // by name
	metadata map[string]string
	unmap    func() error // nil when the content is ordinary memory
}

// Open maps a file of the operating system into memory, or reads it where mapping is not to be had.
// Pages are loaded when they are touched. Cutting a mapped file short while it is in use makes reads
// of the lost part crash the process, as with any mapping: replace model files, don't overwrite
// them, or read with OpenFS, which copies.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, modelfile.Wrap(path, err)
	}
	if err := modelfile.CheckInfo(path, info); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, modelfile.Wrap(path, err)
	}
	defer f.Close()
	data, unmap, err := mapped.File(f, info.Size())
	if err != nil {
		return nil, modelfile.Wrap(path, err)
	}
	file, err := Parse(path, data)
	if err != nil {
		if unmap != nil {
			unmap()
		}
		return nil, err
	}
	file.unmap = unmap
	return file, nil
}

// OpenFS reads a file of fsys into memory.
func OpenFS(fsys fs.FS, name string) (*File, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, modelfile.Wrap(name, err)
	}
	if err := modelfile.CheckInfo(name, info); err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, modelfile.Wrap(name, err)
	}
	return Parse(name, data)
}

// Sniff reports whether a file that begins with head may be one of this format: the length of a header
// below a terabyte, and the header.
func Sniff(head []byte) bool {
	return len(head) > 8 && head[5] == 0 && head[6] == 0 && head[7] == 0 && head[8] == '{'
}

// Name is the name under which the file was opened.
func (f *File) Name() string { return f.name }

// Tensor returns the tensor called name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(f.tensors, name, compareName)
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Tensors returns all tensors, sorted by name. The caller must not change the slice.
func (f *File) Tensors() []Tensor { return f.tensors }

// Metadata returns the text that the writer of the file left beside the tensors, or nil. The caller
// must not change the map.
func (f *File) Metadata() map[string]string { return f.metadata }

// Close gives the mapping back: no Data, and no slice that Float32s made without copying, may be
// touched afterwards. A second Close does nothing. It may not run beside other uses of the file.
func (f *File) Close() error {
	f.tensors = nil
	if f.unmap == nil {
		return nil
	}
	unmap := f.unmap
	f.unmap = nil
	if err := unmap(); err != nil {
		return modelfile.Wrap(f.name, err)
	}
	return nil
}
