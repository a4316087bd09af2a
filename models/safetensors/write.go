package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// alignment of the first tensor in the file: a cache line, so that mapped rows start on one.
const alignment = 64

// Write writes tensors and metadata as a safetensors file. The bytes depend on the content alone,
// not on the order of tensors or the map: tensors stand by falling element size, then by name, which
// aligns each to its element. Two tensors of one name, a name that is not UTF-8, an unknown dtype and
// Data of another length than the shape asks for are errors, found before anything is written.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), strings.Compare(a.Name, b.Name))
	})
	header, err := writeHeader(sorted, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range sorted {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

// writeHeader makes the length and the JSON, padded with the spaces that the format allows.
func writeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, prefixSize))
	b.WriteByte('{')
	if len(metadata) > 0 {
		writeJSON(b, "__metadata__")
		b.WriteString(":{")
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, key)
			b.WriteByte(':')
			writeJSON(b, metadata[key])
		}
		b.WriteByte('}')
	}
	seen := map[string]bool{"__metadata__": true}
	begin := 0
	for i, t := range tensors {
		if seen[t.Name] {
			return nil, fmt.Errorf("safetensors: two tensors are named %q", t.Name)
		}
		seen[t.Name] = true
		if !utf8.ValidString(t.Name) {
			return nil, fmt.Errorf("safetensors: the tensor name %q is not UTF-8", t.Name)
		}
		if len(t.Shape) > maxRank || slices.ContainsFunc(t.Shape, func(d int) bool { return d < 0 }) {
			return nil, fmt.Errorf("safetensors: tensor %q has the impossible shape %v", t.Name, t.Shape)
		}
		if t.DType.Size() == 0 {
			return nil, fmt.Errorf("safetensors: tensor %q has the unknown dtype %q", t.Name, t.DType)
		}
		if need := t.Len() * t.DType.Size(); need != len(t.Data) {
			return nil, fmt.Errorf("safetensors: tensor %q: %s %v needs %d bytes, not %d", t.Name, t.DType, t.Shape, need, len(t.Data))
		}
		if i > 0 || len(metadata) > 0 {
			b.WriteByte(',')
		}
		writeJSON(b, t.Name)
		b.WriteString(`:{"dtype":`)
		writeJSON(b, t.DType)
		b.WriteString(`,"shape":`)
		writeJSON(b, append([]int{}, t.Shape...))
		b.WriteString(`,"data_offsets":`)
		writeJSON(b, []int{begin, begin + len(t.Data)})
		b.WriteByte('}')
		begin += len(t.Data)
	}
	b.WriteByte('}')
	for b.Len()%alignment != 0 {
		b.WriteByte(' ')
	}
	header := b.Bytes()
	binary.LittleEndian.PutUint64(header, uint64(len(header)-prefixSize))
	return header, nil
}

// writeJSON appends a string or list of numbers, which cannot fail.
func writeJSON(b *bytes.Buffer, v any) {
	text, _ := json.Marshal(v)
	b.Write(text)
}
