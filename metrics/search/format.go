package search

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"unsafe"

	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// A file holds a header of 64 bytes and then parts, each padded with zeros to a multiple of 64 bytes:
//
//	the space          text
//	the components     rows * dim float32, half or int8, or rows * ceil(dim/64) words
//	scales             I8: rows float32
//	1/|row|            not Binary: rows float32
//	|row|^2            I8: rows int32
//	lost rows          Binary with flagLost: ceil(rows/64) words
//
// All numbers are little-endian. The header:
//
//	 0  magic            8 bytes
//	 8  version          uint32, 1
//	12  kind             uint32
//	16  rows             uint64
//	24  dim              uint64
//	32  size of the file uint64
//	40  length of space  uint32
//	44  flags            uint32
//	48  reserved         8 bytes, zero
//	56  checksum         uint32, CRC-32C of the parts after the space
//	60  checksum         uint32, CRC-32C of bytes 0 to 59 and of the padded space
const (
	magic      = "mai.rows"
	version    = 1
	headerSize = 64
	alignment  = 64
	flagLost   = 1

	maxRows  = 1 << 40 // times MaxDim float32 is no overflow
	maxSpace = 1 << 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A FormatError says which file of rows is bad, where and why.
type FormatError struct {
	File   string
	Offset int64  // bytes from the start of the file, -1 if the error has no place in it
	Field  string // the field concerned, or empty
	Reason string // what is wrong, for people
	Err    error  // the cause, or nil
}

func (e *FormatError) Error() string {
	parts := []string{e.File}
	if e.Offset >= 0 {
		parts = append(parts, fmt.Sprintf("offset %d", e.Offset))
	}
	if e.Field != "" {
		parts = append(parts, strconv.Quote(e.Field))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

func (e *FormatError) Unwrap() error { return e.Err }

// header is what a file says of itself.
type header struct {
	kind      Kind
	rows, dim int
	space     int // bytes
	lost      bool
	size      int64
	data      uint32 // checksum
	own       uint32 // checksum
}

// part is a run of bytes of the file.
type part struct {
	name       string
	at, length int64
}

// parts returns where everything stands, in the order of the file, and the size of the whole.
func (h *header) parts() (space, components part, perRow []part, size int64) {
	at := int64(headerSize)
	next := func(name string, length int64) part {
		p := part{name, at, length}
		at += padded(length)
		return p
	}
	rows := int64(h.rows)
	space = next("space", int64(h.space))
	switch h.kind {
	case F32:
		components = next("components", rows*int64(h.dim)*4)
	case F16:
		components = next("components", rows*int64(h.dim)*2)
	case I8:
		components = next("components", rows*int64(h.dim))
		perRow = append(perRow, next("scales", rows*4))
	case Binary:
		components = next("components", rows*int64(words(h.dim))*8)
		if h.lost {
			perRow = append(perRow, next("lost rows", (rows+63)/64*8))
		}
		return space, components, perRow, at
	}
	perRow = append(perRow, next("1/|row|", rows*4))
	if h.kind == I8 {
		perRow = append(perRow, next("|row|^2", rows*4))
	}
	return space, components, perRow, at
}

func padded(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }

// encode returns the header as bytes, with its checksum.
func (h *header) encode(space types.SpaceID) []byte {
	b := make([]byte, headerSize, headerSize+padded(int64(h.space)))
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], uint32(h.kind))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.rows))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.dim))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.size))
	binary.LittleEndian.PutUint32(b[40:], uint32(h.space))
	if h.lost {
		binary.LittleEndian.PutUint32(b[44:], flagLost)
	}
	binary.LittleEndian.PutUint32(b[56:], h.data)
	b = append(b, space...)
	b = b[:cap(b)]
	binary.LittleEndian.PutUint32(b[60:], headerChecksum(b))
	return b
}

// headerChecksum is that of the header and the space, which b holds.
func headerChecksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:60], castagnoli), castagnoli, b[headerSize:])
}

// decodeHeader reads the header of a file of size bytes and refuses what cannot be. Nothing that it
// returns can ask for more memory than the file has bytes.
func decodeHeader(file string, b []byte, size int64) (header, error) {
	bad := func(offset int64, field, format string, args ...any) (header, error) {
		return header{}, &FormatError{File: file, Offset: offset, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	if len(b) < headerSize {
		return bad(int64(len(b)), "header", "the file ends within its header of %d bytes", headerSize)
	}
	if !bytes.Equal(b[:len(magic)], []byte(magic)) {
		return bad(0, "magic", "not a file of rows, which begins with %q", magic)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return bad(8, "version", "%d; this program reads version %d", v, version)
	}
	kind, rows := binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint64(b[16:])
	if kind > uint32(Binary) || !Kind(kind).known() {
		return bad(12, "kind", "%d is unknown", kind)
	}
	if rows > maxRows {
		return bad(16, "rows", "%d, at most %d", rows, uint64(maxRows))
	}
	dim := binary.LittleEndian.Uint64(b[24:])
	if dim < 1 || dim > MaxDim {
		return bad(24, "dim", "%d, must be 1 to %d", dim, MaxDim)
	}
	space, flags := binary.LittleEndian.Uint32(b[40:]), binary.LittleEndian.Uint32(b[44:])
	if space > maxSpace {
		return bad(40, "length of space", "%d, at most %d", space, maxSpace)
	}
	if flags&^flagLost != 0 || flags != 0 && Kind(kind) != Binary {
		return bad(44, "flags", "%#x is unknown", flags)
	}
	if binary.LittleEndian.Uint64(b[48:]) != 0 {
		return bad(48, "reserved", "not zero")
	}
	h := header{
		kind: Kind(kind), rows: int(rows), dim: int(dim), space: int(space), lost: flags&flagLost != 0,
		data: binary.LittleEndian.Uint32(b[56:]), own: binary.LittleEndian.Uint32(b[60:]),
	}
	if _, _, _, h.size = h.parts(); binary.LittleEndian.Uint64(b[32:]) != uint64(h.size) {
		return bad(32, "size", "%d, but the rows take %d bytes", binary.LittleEndian.Uint64(b[32:]), h.size)
	}
	if size < h.size {
		return bad(size, "size", "the file ends here, but should have %d bytes", h.size)
	}
	if size > h.size {
		return bad(h.size, "size", "%d bytes follow the end", size-h.size)
	}
	return h, nil
}

// parse makes a matrix of a whole file, which it keeps. data begins at a multiple of 8 bytes.
func parse(file string, data []byte, trust bool) (*Matrix, error) {
	h, err := decodeHeader(file, data, int64(len(data)))
	if err != nil {
		return nil, err
	}
	space, components, perRow, _ := h.parts()
	if got := headerChecksum(data[:components.at]); got != h.own {
		return nil, &FormatError{File: file, Offset: 60, Field: "header checksum", Reason: fmt.Sprintf("%#x, but the header has %#x: it is damaged", h.own, got)}
	}
	m := &Matrix{kind: h.kind, rows: h.rows, dim: h.dim, space: types.SpaceID(data[space.at:][:space.length])}
	if !trust {
		if got := crc32.Checksum(data[components.at:], castagnoli); got != h.data {
			return nil, &FormatError{File: file, Offset: 56, Field: "data checksum", Reason: fmt.Sprintf("%#x, but the data from offset %d on have %#x: they are damaged", h.data, components.at, got)}
		}
	}
	rest := data[components.at:][:components.length]
	switch m.kind {
	case F32:
		m.f32 = view[float32](rest)
	case F16:
		m.f16 = view[simd.Float16](rest)
	case I8:
		m.i8 = view[int8](rest)
	case Binary:
		m.bits = view[uint64](rest)
	}
	for _, p := range perRow {
		b := data[p.at:][:p.length]
		switch p.name {
		case "scales":
			m.scale = view[float32](b)
		case "1/|row|":
			m.inverse = view[float32](b)
		case "|row|^2":
			m.square = view[int32](b)
		case "lost rows":
			m.lost = view[uint64](b)
		}
	}
	if !trust && m.kind == Binary {
		if i := m.strayBits(); i >= 0 {
			end := components.at + int64((i+1)*m.stride()*8)
			return nil, &FormatError{File: file, Offset: end - 8, Field: "components", Reason: fmt.Sprintf("row %d has bits beyond dimension %d", i, m.dim)}
		}
	}
	return m, nil
}

// view returns the bytes of a part as numbers, without copying.
func view[T any](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(*new(T))))
}

// raw returns numbers as the bytes that they are, without copying.
func raw[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}
