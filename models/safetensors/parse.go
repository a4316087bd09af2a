package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/maida-ai/gomai/models/modelfile"
)

const (
	prefixSize = 8         // the header's length, little-endian
	maxHeader  = 100 << 20 // the limit of the reference implementation
	maxRank    = 16        // more dimensions than any tensor has; bounds what a header can claim
)

// Parse reads the content of a safetensors file that is already in memory; name stands in errors.
// The tensors are views of data. Every error is a *modelfile.Error.
func Parse(name string, data []byte) (*File, error) {
	if len(data) < prefixSize {
		return nil, fail(name, len(data), "", "cut file: %d bytes, the header's length alone has %d", len(data), prefixSize)
	}
	n := binary.LittleEndian.Uint64(data)
	switch room := uint64(len(data) - prefixSize); {
	case n > maxHeader:
		return nil, fail(name, 0, "", "no safetensors file: a header of %d bytes, the format allows %d", n, maxHeader)
	case n > room:
		return nil, fail(name, 0, "", "cut file: a header of %d bytes in a file of %d", n, len(data))
	}
	p := parser{name: name, data: data, body: data[prefixSize+n:], base: int(n) + prefixSize}
	if err := p.header(data[prefixSize : prefixSize+n]); err != nil {
		return nil, err
	}
	if err := p.layout(); err != nil {
		return nil, err
	}
	f := &File{name: name, metadata: p.metadata, tensors: make([]Tensor, len(p.entries))}
	for i, e := range p.entries {
		f.tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: p.body[e.begin:e.end:e.end]}
	}
	slices.SortFunc(f.tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

func compareName(t Tensor, name string) int { return strings.Compare(t.Name, name) }

// parser walks the header token by token, because only so is the offset of each entry known, and
// nothing that the header claims is allocated before it is checked.
type parser struct {
	name     string
	data     []byte
	body     []byte // what follows the header
	base     int    // offset of body in the file
	dec      *json.Decoder
	entries  []entry
	metadata map[string]string
}

type entry struct {
	name       string
	offset     int // of the entry in the file
	dtype      DType
	shape      []int
	begin, end uint64 // in body
}

// fail makes the package's error, offset counted in the file.
func fail(file string, offset int, field, format string, args ...any) error {
	return &modelfile.Error{File: file, Offset: int64(offset), Field: field, Reason: fmt.Sprintf(format, args...)}
}

func (p *parser) fail(offset int, field, format string, args ...any) error {
	return fail(p.name, offset, field, format, args...)
}

// at is the offset in the file of the token that the decoder reads next.
func (p *parser) at() int {
	i := prefixSize + int(p.dec.InputOffset())
	for i < p.base && strings.IndexByte(" \t\r\n,:", p.data[i]) >= 0 {
		i++
	}
	return i
}

// token returns the next token; field is the entry that it belongs to.
func (p *parser) token(field string) (json.Token, error) {
	t, err := p.dec.Token()
	if err == nil {
		return t, nil
	}
	offset, reason := p.at(), "broken JSON in the header"
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		offset, reason, err = p.base, "the header ends in the middle of its JSON", nil
	case errors.As(err, &syntax):
		offset = prefixSize + int(syntax.Offset)
	}
	return nil, &modelfile.Error{File: p.name, Offset: int64(offset), Field: field, Reason: reason, Err: err}
}

// delim reads a token that must be d.
func (p *parser) delim(field string, d json.Delim) error {
	offset := p.at()
	t, err := p.token(field)
	if err != nil {
		return err
	}
	if t != d {
		return p.fail(offset, field, "%v in the header where %q is expected", t, d.String())
	}
	return nil
}

func (p *parser) header(header []byte) error {
	if i := modelfile.InvalidUTF8(header); i >= 0 {
		return p.fail(prefixSize+i, "", "the header is not UTF-8")
	}
	p.dec = json.NewDecoder(bytes.NewReader(header))
	p.dec.UseNumber()
	if err := p.delim("", '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		offset := p.at()
		t, err := p.token("")
		if err != nil {
			return err
		}
		name := t.(string) // the decoder accepts nothing else as a key
		if seen[name] {
			return p.fail(offset, name, "stands twice in the header")
		}
		seen[name] = true
		if name == "__metadata__" {
			err = p.texts()
		} else {
			err = p.entry(name, offset)
		}
		if err != nil {
			return err
		}
	}
	if err := p.delim("", '}'); err != nil {
		return err
	}
	if rest := bytes.TrimLeft(header[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return p.fail(p.base-len(rest), "", "something follows the header's JSON")
	}
	return nil
}

// texts reads the free text: an object of strings.
func (p *parser) texts() error {
	const field = "__metadata__"
	if err := p.delim(field, '{'); err != nil {
		return err
	}
	p.metadata = map[string]string{}
	for p.dec.More() {
		key, err := p.token(field)
		if err != nil {
			return err
		}
		offset := p.at()
		value, err := p.token(field)
		if err != nil {
			return err
		}
		s, ok := value.(string)
		if !ok {
			return p.fail(offset, field, "the value of %q is no string", key)
		}
		p.metadata[key.(string)] = s
	}
	return p.delim(field, '}')
}

// entry reads the description of one tensor and checks all that can be checked on it alone.
func (p *parser) entry(name string, offset int) error {
	if err := p.delim(name, '{'); err != nil {
		return err
	}
	e := entry{name: name, offset: offset}
	var span []uint64
	seen := map[string]bool{}
	for p.dec.More() {
		at := p.at()
		t, err := p.token(name)
		if err != nil {
			return err
		}
		key := t.(string)
		if seen[key] {
			return p.fail(at, name, "%s stands twice", key)
		}
		seen[key] = true
		switch key {
		case "dtype":
			if e.dtype, err = p.dtype(name); err != nil {
				return err
			}
		case "shape":
			dims, err := p.numbers(name, key, maxRank)
			if err != nil {
				return err
			}
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				if e.shape[i] = int(d); e.shape[i] < 0 || uint64(e.shape[i]) != d {
					return p.fail(at, name, "dimension %d of the shape, %d, is beyond this machine", i, d)
				}
			}
		case "data_offsets":
			if span, err = p.numbers(name, key, 2); err != nil {
				return err
			}
			if len(span) != 2 {
				return p.fail(at, name, "data_offsets has %d numbers, not 2", len(span))
			}
		default:
			return p.fail(at, name, "unknown key %q", key)
		}
	}
	if err := p.delim(name, '}'); err != nil {
		return err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[key] {
			return p.fail(offset, name, "has no %s", key)
		}
	}
	e.begin, e.end = span[0], span[1]
	if err := p.size(e); err != nil {
		return err
	}
	p.entries = append(p.entries, e)
	return nil
}

func (p *parser) dtype(name string) (DType, error) {
	offset := p.at()
	t, err := p.token(name)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", p.fail(offset, name, "the dtype is no string")
	}
	if DType(s).Size() == 0 {
		return "", p.fail(offset, name, "unknown dtype %q", s)
	}
	return DType(s), nil
}

// numbers reads a list of at most limit whole numbers.
func (p *parser) numbers(name, key string, limit int) ([]uint64, error) {
	if err := p.delim(name, '['); err != nil {
		return nil, err
	}
	var list []uint64
	for p.dec.More() {
		offset := p.at()
		t, err := p.token(name)
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok {
			return nil, p.fail(offset, name, "%s holds %v, not a number", key, t)
		}
		u, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil {
			return nil, p.fail(offset, name, "%s holds %v, not a whole number from 0 to 2^64-1", key, n)
		}
		if len(list) == limit {
			return nil, p.fail(offset, name, "%s holds more than %d numbers", key, limit)
		}
		list = append(list, u)
	}
	return list, p.delim(name, ']')
}

// size checks that the bytes of e are in the file and are as many as its shape needs.
func (p *parser) size(e entry) error {
	if e.begin > e.end {
		return p.fail(e.offset, e.name, "data_offsets [%d, %d] run backwards", e.begin, e.end)
	}
	need := uint64(e.dtype.Size())
	for _, d := range e.shape {
		hi, lo := bits.Mul64(need, uint64(d))
		if hi != 0 {
			return p.fail(e.offset, e.name, "the size of %s %v overflows", e.dtype, e.shape)
		}
		need = lo
	}
	if have := e.end - e.begin; have != need {
		return p.fail(e.offset, e.name, "%s %v needs %d bytes, data_offsets span %d", e.dtype, e.shape, need, have)
	}
	if e.end > uint64(len(p.body)) {
		return p.fail(len(p.data), e.name, "cut file: the tensor ends at offset %d, the file at %d",
			uint64(p.base)+e.end, len(p.data))
	}
	return nil
}

// layout checks that the tensors fill the file: no overlap, no hole, nothing after them. What no
// tensor covers could hide anything, so the format forbids it.
func (p *parser) layout() error {
	order := slices.Clone(p.entries)
	slices.SortFunc(order, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), strings.Compare(a.name, b.name))
	})
	var end uint64
	last := "the header"
	for _, e := range order {
		switch offset := p.base + int(e.begin); {
		case e.begin < end:
			return p.fail(offset, e.name, "overlaps %q", last)
		case e.begin > end:
			return p.fail(p.base+int(end), e.name, "%d bytes between %s and the tensor belong to none", e.begin-end, last)
		}
		end, last = e.end, e.name
	}
	if end != uint64(len(p.body)) {
		return p.fail(p.base+int(end), "", "%d bytes after the last tensor belong to none", uint64(len(p.body))-end)
	}
	return nil
}
