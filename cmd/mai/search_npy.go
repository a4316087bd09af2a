package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/maida-ai/gomai/simd"
)

// npyMagic begins a file of NumPy's format, which holds one array.
//
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
const npyMagic = "\x93NUMPY"

// npyHeader is what such a file says of its array, as far as it is read here: two dimensions, in C
// order, little-endian float32 or float16.
type npyHeader struct {
	rows, dim int
	size      int // bytes of a component
}

// npyError says where a .npy file is bad.
func npyError(offset int64, field, format string, args ...any) error {
	where := fmt.Sprintf("offset %d: ", offset)
	if field != "" {
		where += strconv.Quote(field) + ": "
	}
	return errors.New(where + fmt.Sprintf(format, args...))
}

// readNPY reads a .npy file of size bytes, 0 if that is unknown.
func (v *vectors) readNPY(ctx context.Context, r io.Reader, size int64, bar *progress) error {
	bad := func(err error) error { return &inputError{File: v.file, Err: err} }
	h, at, err := readNPYHeader(r)
	if err != nil {
		return bad(err)
	}
	v.dim = h.dim
	want := int64(h.rows) * int64(h.dim) * int64(h.size)
	if size != 0 && size-at != want {
		return bad(npyError(min(size, at+want), "shape", "(%d, %d) takes %d bytes, but %d follow the header", h.rows, h.dim, want, size-at))
	}
	if size != 0 { // otherwise the memory grows with what really comes
		v.rows = make([]float32, 0, h.rows*h.dim)
	}
	buf := make([]byte, 1<<20)
	for left := want; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(left, int64(len(buf)))]
		n, err := io.ReadFull(r, part)
		at += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return bad(npyError(at, "shape", "the file ends %d bytes before the array", left-int64(n)))
		}
		if err != nil {
			return bad(cause(err))
		}
		v.rows = appendFloats(v.rows, part, h.size)
		left -= int64(n)
		bar.set(at)
	}
	if n, _ := r.Read(buf[:1]); n > 0 {
		return bad(npyError(at, "shape", "more bytes follow the array"))
	}
	return nil
}

// appendFloats adds the components of b, of size bytes each.
func appendFloats(dst []float32, b []byte, size int) []float32 {
	if size == 4 {
		for ; len(b) >= 4; b = b[4:] {
			dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
		return dst
	}
	half := make([]simd.Float16, len(b)/2)
	for i := range half {
		half[i] = simd.Float16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	at := len(dst)
	dst = slices.Grow(dst, len(half))[:at+len(half)]
	simd.ConvertF16F32(dst[at:], half)
	return dst
}

// readNPYHeader reads up to the array, which begins at the offset that it returns.
func readNPYHeader(r io.Reader) (npyHeader, int64, error) {
	var h npyHeader
	short := func(at int) (npyHeader, int64, error) {
		return h, 0, npyError(int64(at), "", "the file ends within its header")
	}
	b := make([]byte, 12)
	if n, err := io.ReadFull(r, b[:8]); err != nil {
		return short(n)
	}
	start := 10
	switch b[6] {
	case 1:
	case 2, 3:
		start = 12
	default:
		return h, 0, npyError(6, "", "version %d.%d of the format is unknown", b[6], b[7])
	}
	if n, err := io.ReadFull(r, b[8:start]); err != nil {
		return short(8 + n)
	}
	length := int(binary.LittleEndian.Uint16(b[8:]))
	if start == 12 {
		length = int(binary.LittleEndian.Uint32(b[8:]))
	}
	if length > 1<<16 {
		return h, 0, npyError(8, "", "a header of %d bytes", length)
	}
	text := make([]byte, length)
	if n, err := io.ReadFull(r, text); err != nil {
		return short(start + n)
	}
	fields, err := parseNPYHeader(string(text), int64(start))
	if err != nil {
		return h, 0, err
	}
	err = h.set(fields)
	return h, int64(start + length), err
}

// npyField is a value of the header as it is written, and where.
type npyField struct {
	text string
	at   int64
}

// parseNPYHeader cuts the header, a Python dictionary such as
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (3, 384), }
//
// into its values.
func parseNPYHeader(s string, start int64) (map[string]npyField, error) {
	fields := map[string]npyField{}
	body := strings.TrimRight(s, " \n")
	if !strings.HasPrefix(body, "{") || !strings.HasSuffix(body, "}") {
		return nil, npyError(start, "", "the header is no dictionary")
	}
	at := 1
	body = body[:len(body)-1]
	for {
		for at < len(body) && (body[at] == ' ' || body[at] == ',') {
			at++
		}
		if at >= len(body) {
			return fields, nil
		}
		key, _, ok := strings.Cut(body[at:], ":")
		if !ok {
			return nil, npyError(start+int64(at), "", "the header is no dictionary")
		}
		at += len(key) + 1
		for at < len(body) && body[at] == ' ' {
			at++
		}
		rest := body[at:]
		end := strings.IndexByte(rest, ',')
		switch {
		case strings.HasPrefix(rest, "("):
			end = strings.IndexByte(rest, ')') + 1
		case strings.HasPrefix(rest, "["): // the descr of an array of records
			end = strings.IndexByte(rest, ']') + 1
		}
		if end <= 0 {
			end = len(rest)
		}
		fields[strings.Trim(key, `'" `)] = npyField{strings.TrimSpace(rest[:end]), start + int64(at)}
		at += end
	}
}

// set takes what the header says and refuses what is not read here, by name.
func (h *npyHeader) set(fields map[string]npyField) error {
	for _, name := range []string{"descr", "fortran_order", "shape"} {
		if _, ok := fields[name]; !ok {
			return npyError(10, name, "missing in the header")
		}
	}
	descr, order, shape := fields["descr"], fields["fortran_order"], fields["shape"]
	switch strings.Trim(descr.text, `'"`) {
	case "<f4":
		h.size = 4
	case "<f2":
		h.size = 2
	default:
		return npyError(descr.at, "descr", "elements of type %s; <f4 and <f2 are read: x.astype(numpy.float32)", descr.text)
	}
	if order.text != "False" {
		return npyError(order.at, "fortran_order", "%s; rows must follow each other: numpy.ascontiguousarray(x)", order.text)
	}
	inner, opens := strings.CutPrefix(shape.text, "(")
	inner, closes := strings.CutSuffix(inner, ")")
	if !opens || !closes {
		return npyError(shape.at, "shape", "%s is no shape", shape.text)
	}
	var sizes []int
	for part := range strings.SplitSeq(inner, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(part, "L"), 10, 40)
		if err != nil || n < 0 {
			return npyError(shape.at, "shape", "%s is no shape", shape.text)
		}
		sizes = append(sizes, int(n))
	}
	if len(sizes) != 2 {
		return npyError(shape.at, "shape", "%s has %d dimensions; an array of vectors has two", shape.text, len(sizes))
	}
	h.rows, h.dim = sizes[0], sizes[1]
	if h.dim < 1 || h.dim > 1<<20 {
		return npyError(shape.at, "shape", "%s: vectors of %d components", shape.text, h.dim)
	}
	return nil
}
