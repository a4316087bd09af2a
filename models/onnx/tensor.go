package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"unsafe"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
)

// The element types of ONNX that are read.
const (
	typeFloat    = 1
	typeUint8    = 2
	typeInt8     = 3
	typeInt32    = 6
	typeInt64    = 7
	typeBool     = 9
	typeFloat16  = 10
	typeDouble   = 11
	typeBFloat16 = 16
)

// maxElements is more than any tensor has; its square fits int64.
const maxElements = 1 << 31

// types are their sizes in bytes and the names that safetensors has for them.
var types = map[int]struct {
	size int
	as   safetensors.DType
}{
	typeFloat: {4, safetensors.F32}, typeUint8: {1, safetensors.U8}, typeInt8: {1, safetensors.I8},
	typeInt32: {4, safetensors.I32}, typeInt64: {8, safetensors.I64}, typeBool: {1, safetensors.Bool},
	typeFloat16: {2, safetensors.F16}, typeDouble: {8, safetensors.F64}, typeBFloat16: {2, safetensors.BF16},
}

// tensor is a constant: row-major, little-endian.
type tensor struct {
	name   string
	elem   int
	dims   []int
	count  int    // elements: the product of dims
	data   []byte // nil if they are elsewhere
	list   []byte // the elements as varints, one after the other, or nil
	file   string // for errors
	offset int
	place  *place // in another file, or nil
}

// place is where the elements of a tensor lie outside of its file.
type place struct {
	location       string
	offset, length int64 // length -1: to the end of the file
}

func (t *tensor) errorf(format string, args ...any) *modelfile.Error {
	return &modelfile.Error{File: t.file, Offset: int64(t.offset), Field: t.name, Reason: fmt.Sprintf(format, args...)}
}

// isFloat reports whether the elements are numbers as they stand, not quanta or indices.
func (t *tensor) isFloat() bool {
	return t.elem == typeFloat || t.elem == typeFloat16 || t.elem == typeBFloat16 || t.elem == typeDouble
}

func (t *tensor) isQuanta() bool { return t.elem == typeInt8 || t.elem == typeUint8 }

// readTensor reads a TensorProto. Types that are not read get through, without elements: many graphs have
// tensors that do not matter.
func (g *graph) readTensor(m message) (*tensor, error) {
	t := &tensor{file: m.file, offset: m.offset}
	var dims []int64
	outside := false
	var where [][2]string
	err := m.fields(func(x field) (err error) {
		switch x.number {
		case 1:
			dims, err = x.ints(dims, maxRank)
		case 2:
			t.elem = int(min(x.bits, 1<<10))
		case 3:
			return x.body.errorf(0, "tensors in segments are not read")
		case 4, 9, 10: // float_data, raw_data, double_data
			t.data, err = joined(t.data, x)
		case 5, 7: // int32_data, int64_data
			if x.wire == wireVarint {
				t.list = binary.AppendUvarint(t.list, x.bits)
			} else {
				t.list, err = joined(t.list, x)
			}
		case 8:
			t.name, err = g.text(x)
		case 13:
			var entry [2]string
			if err = x.is(wireBytes); err != nil {
				return err
			}
			err = x.body.fields(func(y field) (err error) {
				if y.number == 1 || y.number == 2 {
					entry[y.number-1], err = g.text(y)
				}
				return err
			})
			where = append(where, entry)
		case 14:
			outside = x.bits == 1
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := t.setShape(dims); err != nil {
		return nil, err
	}
	g.tensors = append(g.tensors, t)
	if outside {
		t.data, t.list = nil, nil
		if t.place, err = t.findPlace(where); err != nil {
			return nil, err
		}
		return t, nil
	}
	return t, t.check()
}

// joined appends the bytes of x to those so far, without a copy if it is the only part. The bytes of a
// message have no room behind them, so nothing is written to the file.
func joined(data []byte, x field) ([]byte, error) {
	switch {
	case x.wire == wireFixed32:
		return binary.LittleEndian.AppendUint32(data, uint32(x.bits)), nil
	case x.wire == wireFixed64:
		return binary.LittleEndian.AppendUint64(data, x.bits), nil
	case x.wire != wireBytes:
		return nil, x.is(wireBytes)
	case data == nil:
		return x.body.data, nil
	}
	return append(data, x.body.data...), nil
}

func (t *tensor) setShape(dims []int64) error {
	t.count = 1
	t.dims = make([]int, len(dims))
	for i, d := range dims {
		if d < 0 {
			return t.errorf("dimension %d is %d", i, d)
		}
		if d > maxElements || int64(t.count)*d > maxElements {
			return t.errorf("shape %v has more than %d elements", dims, int64(maxElements))
		}
		t.dims[i] = int(d)
		t.count *= int(d)
	}
	return nil
}

// check compares the elements that are there with the shape.
func (t *tensor) check() error {
	kind, ok := types[t.elem]
	if !ok {
		t.data, t.list = nil, nil
		return nil
	}
	if t.list != nil {
		n := 0
		for i := 0; i < len(t.list); n++ {
			_, w := binary.Uvarint(t.list[i:])
			if w <= 0 {
				return t.errorf("element %d is no number", n)
			}
			i += w
		}
		if t.data != nil || n != t.count || t.elem == typeFloat || t.elem == typeDouble {
			return t.errorf("shape %v, but %d numbers", t.dims, n)
		}
		return nil
	}
	if len(t.data) != t.count*kind.size {
		return t.errorf("shape %v of %s takes %d bytes, but there are %d", t.dims, kind.as, t.count*kind.size, len(t.data))
	}
	return nil
}

// findPlace reads the entries that say where the elements are.
func (t *tensor) findPlace(entries [][2]string) (*place, error) {
	p := &place{length: -1}
	for _, e := range entries {
		var err error
		switch e[0] {
		case "location":
			p.location = e[1]
		case "offset":
			p.offset, err = strconv.ParseInt(e[1], 10, 64)
		case "length":
			p.length, err = strconv.ParseInt(e[1], 10, 64)
		}
		if err != nil || p.offset < 0 || p.length < -1 {
			return nil, t.errorf("external data with %s %q", e[0], e[1])
		}
	}
	clean := path.Clean(p.location)
	if p.location == "" || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(clean, `\:`) {
		return nil, t.errorf("external data in %q, which is not in the model's folder", p.location)
	}
	p.location = clean
	return p, nil
}

// settle takes the elements of t out of the file that they lie in.
func (t *tensor) settle(data []byte) error {
	size := int64(len(data))
	if t.place.offset > size {
		return t.errorf("external data at %d of %q, which has %d bytes", t.place.offset, t.place.location, size)
	}
	data = data[t.place.offset:]
	if kind, ok := types[t.elem]; ok && t.place.length < 0 {
		t.place.length = min(int64(t.count)*int64(kind.size), int64(len(data)))
	}
	if n := t.place.length; n >= 0 {
		if n > int64(len(data)) {
			return t.errorf("external data of %d bytes at %d of %q, which has %d bytes", n, t.place.offset, t.place.location, size)
		}
		data = data[:n:n]
	}
	t.data = data
	return t.check()
}

// bytes are the elements as the type says, in the file or decoded.
func (t *tensor) bytes() []byte {
	if t.list == nil {
		return t.data
	}
	size := types[t.elem].size
	b := make([]byte, 0, t.count*size)
	var v [8]byte
	for i := 0; i < len(t.list); {
		x, n := binary.Uvarint(t.list[i:])
		binary.LittleEndian.PutUint64(v[:], x)
		b = append(b, v[:size]...)
		i += n
	}
	return b
}

// numbers are the elements as float64, which holds all that matter exactly.
func (t *tensor) numbers() ([]float64, error) {
	b := t.bytes()
	if b == nil && t.count > 0 {
		return nil, t.errorf("elements of type %d are not read", t.elem)
	}
	v := make([]float64, t.count)
	switch t.elem {
	case typeFloat, typeFloat16, typeBFloat16:
		floats, err := t.widened(nil)
		if err != nil {
			return nil, err
		}
		for i, f := range floats {
			v[i] = float64(f)
		}
		return v, nil
	}
	for i := range v {
		switch t.elem {
		case typeDouble:
			v[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		case typeInt64:
			v[i] = float64(int64(binary.LittleEndian.Uint64(b[8*i:])))
		case typeInt32:
			v[i] = float64(int32(binary.LittleEndian.Uint32(b[4*i:])))
		case typeInt8:
			v[i] = float64(int8(b[i]))
		case typeUint8:
			v[i] = float64(b[i])
		case typeBool:
			if b[i] != 0 {
				v[i] = 1
			}
		}
	}
	return v, nil
}

// widened are the elements of a tensor of floats as float32: where they lie if they are that and aligned,
// else in room.
func (t *tensor) widened(room *[]float32) ([]float32, error) {
	data := t.bytes()
	if t.elem == typeFloat && t.count > 0 && uintptr(unsafe.Pointer(&data[0]))%4 != 0 {
		v := roomFor(room, t.count)
		decode(v, t.elem, data, 0, 1)
		return v, nil
	}
	if t.elem == typeDouble {
		wide, err := t.numbers()
		v := make([]float32, len(wide))
		for i, x := range wide {
			v[i] = float32(x)
		}
		return v, err
	}
	s := safetensors.Tensor{Name: t.name, DType: types[t.elem].as, Shape: []int{t.count}, Data: data}
	return s.Float32s()
}

func float32At(b []byte, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}
