package onnx

import (
	"encoding/binary"
	"fmt"

	"github.com/maida-ai/gomai/models/modelfile"
)

// The wire types of protocol buffers that ONNX uses. Groups, 3 and 4, are refused.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// message is an encoded message, or any stretch of bytes in one, and where it begins in its file.
type message struct {
	file   string
	data   []byte
	offset int
}

// field is one field of a message. bits has the value of a number, body that of everything else.
type field struct {
	number int
	wire   int
	bits   uint64
	body   message
}

func (m message) errorf(at int, format string, args ...any) *modelfile.Error {
	return &modelfile.Error{File: m.file, Offset: int64(m.offset + at), Reason: fmt.Sprintf(format, args...)}
}

// varint reads a number at i and returns where it ends.
func (m message) varint(i int) (uint64, int, error) {
	v, n := binary.Uvarint(m.data[i:])
	switch {
	case n == 0:
		return 0, 0, m.errorf(i, "a number is cut off")
	case n < 0:
		return 0, 0, m.errorf(i, "a number of more than 64 bits")
	}
	return v, i + n, nil
}

// fields calls f with every field, in the order of the file.
func (m message) fields(f func(field) error) error {
	for i := 0; i < len(m.data); {
		start := i
		tag, next, err := m.varint(i)
		if err != nil {
			return err
		}
		if tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return m.errorf(start, "a field has no valid number")
		}
		x := field{number: int(tag >> 3), wire: int(tag & 7)}
		size := 0
		switch i = next; x.wire {
		case wireVarint:
			if x.bits, i, err = m.varint(i); err != nil {
				return err
			}
		case wireFixed64:
			size = 8
		case wireFixed32:
			size = 4
		case wireBytes:
			n, next, err := m.varint(i)
			if err != nil {
				return err
			}
			if i = next; n > uint64(len(m.data)-i) {
				return m.errorf(start, "field %d of %d bytes, only %d are left", x.number, n, len(m.data)-i)
			}
			size = int(n)
		default:
			return m.errorf(start, "field %d has wire type %d, no ONNX file has", x.number, x.wire)
		}
		if size > len(m.data)-i {
			return m.errorf(start, "field %d is cut off", x.number)
		}
		x.body = message{m.file, m.data[i : i+size : i+size], m.offset + i}
		i += size
		switch x.wire {
		case wireFixed64:
			x.bits = binary.LittleEndian.Uint64(x.body.data)
		case wireFixed32:
			x.bits = uint64(binary.LittleEndian.Uint32(x.body.data))
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// is checks the wire type.
func (x field) is(wire int) error {
	if x.wire != wire {
		return x.body.errorf(0, "field %d has wire type %d, expected %d", x.number, x.wire, wire)
	}
	return nil
}

// ints appends the numbers of a repeated integer field, which may come one by one or packed, at most limit
// in all.
func (x field) ints(list []int64, limit int) ([]int64, error) {
	if x.wire == wireVarint {
		if len(list) == limit {
			return nil, x.body.errorf(0, "field %d has more than %d numbers", x.number, limit)
		}
		return append(list, int64(x.bits)), nil
	}
	if err := x.is(wireBytes); err != nil {
		return nil, err
	}
	for i := 0; i < len(x.body.data); {
		v, next, err := x.body.varint(i)
		if err != nil {
			return nil, err
		}
		if len(list) == limit {
			return nil, x.body.errorf(i, "field %d has more than %d numbers", x.number, limit)
		}
		list, i = append(list, int64(v)), next
	}
	return list, nil
}
