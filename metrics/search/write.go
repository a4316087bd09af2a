package search

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math/rand/v2"
	"os"

	"github.com/maida-ai/gomai/types"
)

var padding [alignment]byte

// WriteTo writes the matrix in the form that Open reads.
func (m *Matrix) WriteTo(w io.Writer) (int64, error) {
	if !littleEndian() {
		return 0, errors.New("search: files are not written by a machine that is big-endian")
	}
	h := m.header()
	sum := checksum{}
	m.writeComponents(&sum)
	m.writePerRow(&sum)
	h.data = sum.crc

	c := &counter{w: w}
	c.Write(h.encode(m.space))
	m.writeComponents(c)
	m.writePerRow(c)
	return c.n, c.err
}

// Create writes a file of rows, which come in pieces of any number of rows, (n, dim) each, and are
// stored as kind. Memory is bounded by the largest piece and 12 bytes a row. The file appears under its
// name when it is complete; an error, those that rows yields too, leaves none behind, and neither does
// a panic of rows.
func Create(path string, space types.SpaceID, dim int, kind Kind, rows iter.Seq2[[]float32, error]) error {
	m, err := newMatrix(kind, space, dim, 0, 1)
	if err != nil {
		return err
	}
	if rows == nil {
		return badArgument("rows", "nil")
	}
	if !littleEndian() {
		return fileError(path, errors.New("is not written by a machine that is big-endian"))
	}
	temporary := fmt.Sprintf("%s.%08x.tmp", path, rand.Uint32())
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fileError(path, err)
	}
	done := false
	defer func() { // also if rows panics
		if !done {
			f.Close()
			os.Remove(temporary)
		}
	}()
	if err := m.writeFile(f, path, rows); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fileError(path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fileError(path, err)
	}
	done = true
	return nil
}

// writeFile writes the pieces as they come, and last the header, which knows how many rows came.
func (m *Matrix) writeFile(f *os.File, path string, pieces iter.Seq2[[]float32, error]) error {
	buf := bufio.NewWriterSize(f, 1<<16)
	c := &counter{w: buf}
	c.Write(m.header().encode(m.space))
	start, sum := c.n, checksum{}
	both := io.MultiWriter(c, &sum)
	for piece, err := range pieces {
		if err != nil {
			return err
		}
		if len(piece)%m.dim != 0 {
			return badArgument("rows", "a piece of %d components is no multiple of %d", len(piece), m.dim)
		}
		m.append(piece)
		both.Write(m.components())
		m.f32, m.f16, m.i8, m.bits = m.f32[:0], m.f16[:0], m.i8[:0], m.bits[:0]
		if c.err != nil {
			return fileError(path, c.err)
		}
	}
	pad(both, c.n-start)
	m.writePerRow(both)
	c.keep(buf.Flush())
	h := m.header()
	h.data = sum.crc
	_, err := f.WriteAt(h.encode(m.space), 0)
	c.keep(err)
	if c.err != nil {
		return fileError(path, c.err)
	}
	return nil
}

func (m *Matrix) header() *header {
	h := &header{kind: m.kind, rows: m.rows, dim: m.dim, space: len(m.space), lost: m.lost != nil}
	_, _, _, h.size = h.parts()
	return h
}

// components returns the components as bytes.
func (m *Matrix) components() []byte {
	switch m.kind {
	case F32:
		return raw(m.f32)
	case F16:
		return raw(m.f16)
	case I8:
		return raw(m.i8)
	}
	return raw(m.bits)
}

func (m *Matrix) writeComponents(w io.Writer) {
	b := m.components()
	w.Write(b)
	pad(w, int64(len(b)))
}

// writePerRow writes what there is for each row, in the order of parts.
func (m *Matrix) writePerRow(w io.Writer) {
	lost := m.lost
	if lost != nil { // it ends with the last lost row
		lost = append(lost[:len(lost):len(lost)], make([]uint64, (m.rows+63)/64-len(lost))...)
	}
	for _, b := range [][]byte{raw(m.scale), raw(m.inverse), raw(m.square), raw(lost)} {
		w.Write(b)
		pad(w, int64(len(b)))
	}
}

// pad writes what a part of n bytes lacks.
func pad(w io.Writer, n int64) { w.Write(padding[:padded(n)-n]) }

// counter counts what it writes and keeps the first error, after which it writes nothing.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(b []byte) (int, error) {
	if c.err == nil {
		n, err := c.w.Write(b)
		c.n += int64(n)
		c.keep(err)
	}
	return len(b), nil
}

func (c *counter) keep(err error) {
	if c.err == nil {
		c.err = err
	}
}

// checksum is the CRC-32C of what is written to it.
type checksum struct {
	crc uint32
}

func (s *checksum) Write(b []byte) (int, error) {
	s.crc = crc32.Update(s.crc, castagnoli, b)
	return len(b), nil
}
