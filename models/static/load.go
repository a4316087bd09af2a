package static

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/tokenizer"
)

// The tensors of the two layouts.
const (
	TensorRows    = "embeddings"       // model2vec
	tensorMapping = "mapping"          // model2vec
	tensorWeights = "weights"          // model2vec
	TensorInt4    = "embeddings_int4"  // int4: packed rows
	tensorScales  = "embeddings_scale" // int4: one scale for each group of a row
)

const configFile = "config.json"

// Config is what config.json says of a table. Fields that it does not name are nobody's business
// here; the README beside a distilled table explains them.
type Config struct {
	Normalize bool   `json:"normalize"`
	MaxLength *int   `json:"max_length"` // tokens; null for no limit
	DType     string `json:"embedding_dtype,omitempty"`
	GroupSize int    `json:"group_size,omitempty"` // of the int4 layout
}

// magnitudeLimit bounds what a row may hold, weight included. No embedding comes near it, and within
// it neither the sum of any number of rows nor the square of that overflows.
const magnitudeLimit = 0x1p60

// Load makes a table of the tensors of a file, the bytes of its config.json and the tokeniser beside
// it. Two layouts are known.
//
// model2vec: "embeddings" (rows, dim) in F32, F16, BF16 or I8, whose quanta are used as they are;
// optionally "mapping" (vocabulary,) in I64 or I32, the row of each id, without which rows are ids;
// optionally "weights" (vocabulary,), by which the row of each id is multiplied.
//
// int4: "embeddings_int4" (rows, dim/2) in U8 and "embeddings_scale" (rows, dim/32) in F16, with
// "embedding_dtype": "int4" and "group_size": 32 in the configuration. Each 32 neighbouring values
// of a row share a scale: value j of a group is (q-8)*scale, where q is the low nibble of the
// group's byte j for j < 16 and the high nibble of its byte j-16 from there on. Mapping and weights
// may stand beside them too.
//
// Of the configuration, "normalize" (false if absent) and "max_length" (512 tokens if absent, null
// for no limit) are read, as model2vec does.
//
// Shapes are checked against each other and the vocabulary, and all numbers must be finite and sane
// in size. The table keeps views of the file: close that only after the last use.
//
// Errors: *modelfile.Error that names the file and the tensor or field.
// Cost:   one pass over the rows; memory for scales, mapping and weights.
func Load(file *safetensors.File, config []byte, tok *tokenizer.Tokenizer) (*Table, error) {
	maxLength := 512
	c := Config{MaxLength: &maxLength}
	if len(config) > 0 {
		if err := modelfile.DecodeJSON(configFile, config, &c); err != nil {
			return nil, err
		}
	}
	t := &Table{kinds: kindsOf(tok), normalize: c.Normalize}
	if c.MaxLength != nil {
		if *c.MaxLength < 1 {
			return nil, modelfile.Errorf(configFile, "max_length", "%d, at least 1 is expected", *c.MaxLength)
		}
		t.maxTokens = *c.MaxLength
	}
	l := loader{Table: t, file: file}
	if err := l.readRows(c); err != nil {
		return nil, err
	}
	if err := l.readMapping(); err != nil {
		return nil, err
	}
	if err := l.readWeights(); err != nil {
		return nil, err
	}
	if err := l.checkNumbers(); err != nil {
		return nil, err
	}
	t.sum = l.checksum()
	return t, nil
}

// kindsOf sorts the ids of a vocabulary into what has a meaning and what has none.
func kindsOf(tok *tokenizer.Tokenizer) []kind {
	kinds := make([]kind, tok.Size())
	roles := tok.Special()
	for _, id := range slices.Concat(roles.Before, roles.After) {
		kinds[id] = special
	}
	if roles.Pad >= 0 {
		kinds[roles.Pad] = special
	}
	kinds[roles.Unknown] = unknown
	return kinds
}

type loader struct {
	*Table
	file *safetensors.File
}

// checksum makes Sum of the tensors as they are stored.
func (l *loader) checksum() [32]byte {
	text := fmt.Appendf(nil, "static %d %v", l.dim, l.normalize)
	for _, name := range []string{TensorRows, TensorInt4, tensorScales, tensorMapping, tensorWeights} {
		if t, ok := l.file.Tensor(name); ok {
			text = fmt.Appendf(text, " %s %s %08x", name, t.DType, crc32.Checksum(t.Data, crc32.MakeTable(crc32.Castagnoli)))
		}
	}
	return sha256.Sum256(text)
}

func (l *loader) errorf(tensor, format string, args ...any) error {
	return modelfile.Errorf(l.file.Name(), tensor, format, args...)
}

func (l *loader) readRows(c Config) error {
	if t, ok := l.file.Tensor(TensorInt4); ok {
		return l.readInt4(t, c)
	}
	t, ok := l.file.Tensor(TensorRows)
	if !ok {
		return l.errorf(TensorRows, "no such tensor, nor %q: not a static embedding table", TensorInt4)
	}
	if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 {
		return l.errorf(t.Name, "shape %v, (rows, dim) is expected", t.Shape)
	}
	l.rows, l.dim, l.data = t.Shape[0], t.Shape[1], t.Data
	switch t.DType {
	case safetensors.F32:
		l.layout, l.data = layoutF32, nil
		var err error
		if l.f32, err = t.Float32s(); err != nil {
			return l.errorf(t.Name, "%v", err)
		}
	case safetensors.F16:
		l.layout = layoutF16
	case safetensors.BF16:
		l.layout = layoutBF16
	case safetensors.I8:
		l.layout = layoutI8
	default:
		return l.errorf(t.Name, "dtype %s, one of F32, F16, BF16, I8 is expected", t.DType)
	}
	return nil
}

func (l *loader) readInt4(t safetensors.Tensor, c Config) error {
	if c.DType != "int4" {
		return modelfile.Errorf(configFile, "embedding_dtype", "%q, but the tensor %q asks for \"int4\"", c.DType, TensorInt4)
	}
	if c.GroupSize != Group {
		return modelfile.Errorf(configFile, "group_size", "%d, only %d is known", c.GroupSize, Group)
	}
	if t.DType != safetensors.U8 {
		return l.errorf(t.Name, "dtype %s, U8 is expected", t.DType)
	}
	if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 || t.Shape[1]%groupBytes != 0 {
		return l.errorf(t.Name, "shape %v, (rows, dim/2) with dim a multiple of %d is expected", t.Shape, Group)
	}
	l.rows, l.dim, l.data, l.layout = t.Shape[0], 2*t.Shape[1], t.Data, layoutInt4
	s, ok := l.file.Tensor(tensorScales)
	if !ok {
		return l.errorf(tensorScales, "no such tensor")
	}
	if s.DType != safetensors.F16 {
		return l.errorf(s.Name, "dtype %s, F16 is expected", s.DType)
	}
	if len(s.Shape) != 2 || s.Shape[0] != l.rows || s.Shape[1] != l.dim/Group {
		return l.errorf(s.Name, "shape %v, [%d %d] is expected", s.Shape, l.rows, l.dim/Group)
	}
	var err error
	if l.scales, err = s.Float32s(); err != nil {
		return l.errorf(s.Name, "%v", err)
	}
	return nil
}

// readMapping also settles that every id has a row.
func (l *loader) readMapping() error {
	t, ok := l.file.Tensor(tensorMapping)
	if !ok {
		if l.rows != len(l.kinds) {
			return l.errorf(l.rowsName(), "%d rows for a vocabulary of %d tokens, and no tensor %q", l.rows, len(l.kinds), tensorMapping)
		}
		return nil
	}
	if err := l.checkPerID(t); err != nil {
		return err
	}
	l.mapping = make([]int32, len(l.kinds))
	for id := range l.mapping {
		var row int64
		switch t.DType {
		case safetensors.I64:
			row = int64(binary.LittleEndian.Uint64(t.Data[8*id:]))
		case safetensors.I32:
			row = int64(int32(binary.LittleEndian.Uint32(t.Data[4*id:])))
		default:
			return l.errorf(t.Name, "dtype %s, I64 or I32 is expected", t.DType)
		}
		if row < 0 || row >= int64(l.rows) {
			return l.errorf(t.Name, "id %d is mapped to row %d of %d", id, row, l.rows)
		}
		l.mapping[id] = int32(row)
	}
	return nil
}

func (l *loader) readWeights() error {
	t, ok := l.file.Tensor(tensorWeights)
	if !ok {
		return nil
	}
	if err := l.checkPerID(t); err != nil {
		return err
	}
	var err error
	if l.weights, err = t.Float32s(); err != nil {
		return l.errorf(t.Name, "dtype %s, F32, F16 or BF16 is expected", t.DType)
	}
	return nil
}

func (l *loader) checkPerID(t safetensors.Tensor) error {
	if len(t.Shape) != 1 || t.Shape[0] != len(l.kinds) {
		return l.errorf(t.Name, "shape %v, [%d] is expected, the size of the vocabulary", t.Shape, len(l.kinds))
	}
	return nil
}

func (l *loader) rowsName() string {
	if l.layout == layoutInt4 {
		return TensorInt4
	}
	return TensorRows
}

// checkNumbers refuses NaN, infinities and absurd sizes, so that no call has to look for them.
func (l *loader) checkNumbers() error {
	name := TensorRows
	if l.layout == layoutInt4 {
		name = tensorScales
	}
	largest := make([]float32, l.rows)
	for row := range largest {
		m, column := l.largest(row)
		if !(m < magnitudeLimit) {
			return l.errorf(name, "row %d, column %d is not a finite number of sane size", row, column)
		}
		largest[row] = m
	}
	for id, w := range l.weights {
		row := id
		if l.mapping != nil {
			row = int(l.mapping[id])
		}
		if m := float64(w) * float64(largest[row]); !(math.Abs(m) < magnitudeLimit) {
			return l.errorf(tensorWeights, "the weight of id %d is not a finite number of sane size", id)
		}
	}
	return nil
}

// largest is the largest magnitude in a row and the column where it stands in its tensor; a NaN
// counts as the largest.
func (l *loader) largest(row int) (float32, int) {
	value, width := l.value, l.dim
	if l.layout == layoutInt4 {
		value, width = func(i int) float32 { return 8 * l.scales[i] }, l.dim/Group
	}
	var largest float32
	column := 0
	for j := range width {
		v := value(row*width + j)
		if v != v {
			return v, j
		}
		if v = max(v, -v); v > largest {
			largest, column = v, j
		}
	}
	return largest, column
}

// value is element i of the rows, quanta as they are.
func (l *loader) value(i int) float32 {
	switch l.layout {
	case layoutF32:
		return l.f32[i]
	case layoutF16:
		return halfToFloat(binary.LittleEndian.Uint16(l.data[2*i:]))
	case layoutBF16:
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(l.data[2*i:])) << 16)
	default:
		return float32(int8(l.data[i]))
	}
}
