package search

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/mapped"
)

// OpenOption is a setting of Open.
type OpenOption uint8

// TrustData leaves out the check of the components against their checksum, which reads the whole file.
// Rows that have been damaged then have wrong scores; nothing worse happens. The header is always
// checked.
const TrustData OpenOption = 1

// Open maps a file that Create or WriteTo wrote into memory; where mapping is not to be had it reads
// it. A damaged, cut or foreign file is a *FormatError with the offset.
//
// Cutting a mapped file short while it is in use makes reads of the lost part crash the process, as
// with any mapping: replace such files, as Create does, don't overwrite them.
func Open(path string, opts ...OpenOption) (*Matrix, error) {
	if _, err := cpu.Detect(); err != nil {
		return nil, err
	}
	trust := false
	for _, o := range opts {
		if o != TrustData {
			return nil, badArgument("option", "%d is unknown", o)
		}
		trust = true
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileError(path, err)
	}
	switch {
	case info.IsDir():
		return nil, fileError(path, errors.New("a directory where a file belongs"))
	case !info.Mode().IsRegular():
		return nil, fileError(path, errors.New("not a regular file"))
	case !littleEndian():
		return nil, fileError(path, errors.New("cannot be read in place by a machine that is big-endian"))
	}
	// The header alone first: what it asks for is mapped or allocated only if the file has it.
	head := make([]byte, min(headerSize, info.Size()))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, fileError(path, err)
	}
	h, err := decodeHeader(path, head, info.Size())
	if err != nil {
		return nil, err
	}
	data, unmap, err := mapped.File(f, h.size)
	if err != nil {
		return nil, fileError(path, err)
	}
	m, err := parse(path, data, trust)
	if err != nil {
		if unmap != nil {
			unmap()
		}
		return nil, err
	}
	m.unmap = unmap
	return m, nil
}

// Close gives the mapping of a file back; the matrix has no rows afterwards, and a search of it is an
// *ArgumentError. A second Close does nothing, nor does Close of a matrix in ordinary memory. It may not
// run beside a search.
func (m *Matrix) Close() error {
	unmap := m.unmap
	if unmap == nil {
		return nil
	}
	*m = Matrix{kind: m.kind, dim: m.dim, space: m.space, closed: true}
	return unmap()
}

// fileError drops the operation and paths that package os puts before an error.
func fileError(path string, err error) error {
	var p *fs.PathError
	var l *os.LinkError
	if errors.As(err, &p) {
		err = p.Err
	} else if errors.As(err, &l) {
		err = l.Err
	}
	return &FormatError{File: path, Offset: -1, Err: err}
}

func littleEndian() bool {
	return binary.NativeEndian.Uint16([]byte{1, 0}) == 1
}
