// Package static holds static embedding tables: one vector per token, looked up and averaged, with
// no network behind them. It reads the model2vec layout and the int4 layout of this project (see
// Load), whatever made the table. Splitting text belongs to package tokenizer, making tables to
// package distill, and the choice of a model to package models.
package static

import (
	"fmt"
	"math"
)

// Table is a static embedding table. It is immutable and safe for concurrent use; it may hold views
// of the file that it was loaded from, which must stay open.
type Table struct {
	dim       int
	rows      int
	layout    layout
	f32       []float32 // layoutF32: (rows, dim)
	data      []byte    // the other layouts, as stored
	scales    []float32 // layoutInt4: (rows, dim/Group)
	mapping   []int32   // (ids,) the row of an id; nil if that is the id
	weights   []float32 // (ids,) what the row of an id is multiplied by; nil if nothing
	kinds     []kind    // (ids,)
	normalize bool
	maxTokens int
	sum       [32]byte
}

// layout is the form in which the rows are stored.
type layout uint8

const (
	layoutF32 layout = iota
	layoutF16
	layoutBF16
	layoutI8
	layoutInt4
)

// kind says what an id means to a bag of tokens.
type kind uint8

const (
	known   kind = iota // has a row
	unknown             // the token that stands for words outside the vocabulary
	special             // put there by the tokeniser or a user's markup, no part of the text
)

// IDError is returned for an id that the table's vocabulary does not have.
type IDError struct {
	Index int   // in the ids of the call
	ID    int32 // what was found there
	Size  int   // of the vocabulary: ids are below it
}

func (e *IDError) Error() string {
	return fmt.Sprintf("static: ids[%d] is %d, outside the vocabulary of %d tokens", e.Index, e.ID, e.Size)
}

// DimError is returned when the caller's memory does not have the table's dimension.
type DimError struct {
	Len, Dim int
}

func (e *DimError) Error() string {
	return fmt.Sprintf("static: dst has length %d, the table's dimension is %d", e.Len, e.Dim)
}

// Dim is the number of components of a vector.
func (t *Table) Dim() int { return t.dim }

// Size is the number of ids: of the vocabulary that the table was made for.
func (t *Table) Size() int { return len(t.kinds) }

// Normalize reports whether vectors are brought to length 1.
func (t *Table) Normalize() bool { return t.normalize }

// MaxTokens is the number of tokens to which the table's maker cuts longer texts, 0 for no limit.
// EmbedIDsInto itself takes any number.
func (t *Table) MaxTokens() int { return t.maxTokens }

// Layout names the form of the rows, for people: f32, f16, bf16, int8 or int4.
func (t *Table) Layout() string {
	return [...]string{layoutF32: "f32", layoutF16: "f16", layoutBF16: "bf16", layoutI8: "int8", layoutInt4: "int4"}[t.layout]
}

// Sum identifies what EmbedIDsInto computes: it covers the tensors as they are stored and the
// settings. Tensors count with their CRC-32C, so it tells tables apart, not forgeries.
func (t *Table) Sum() [32]byte { return t.sum }

// EmbedIDsInto writes the vector of ids to dst: the mean of the known tokens' rows, brought to
// length 1 if the table says so. The unknown token and special tokens have no part in it. A text
// without known tokens, and one whose rows cancel out, has the zero vector; no vector has a NaN.
//
// It returns the share of known tokens among those that are not special, 1 if there are none.
//
// Shape:  ids (n,), any n; dst (Dim,).
// Errors: *IDError, *DimError; dst is then unchanged.
// Cost:   no allocation; time grows with n*Dim.
// Exact:  the same bits on every architecture: sums run over ids in order.
func (t *Table) EmbedIDsInto(ids []int32, dst []float32) (share float32, err error) {
	if len(dst) != t.dim {
		return 0, &DimError{Len: len(dst), Dim: t.dim}
	}
	var count [3]int
	for i, id := range ids {
		if uint(id) >= uint(len(t.kinds)) {
			return 0, &IDError{Index: i, ID: id, Size: len(t.kinds)}
		}
		count[t.kinds[id]]++
	}
	clear(dst)
	if count[known] > 0 {
		for _, id := range ids {
			if t.kinds[id] == known {
				t.addRow(dst, id)
			}
		}
		if t.normalize {
			normalize(dst)
		} else {
			n := float32(count[known])
			for j := range dst {
				dst[j] /= n
			}
		}
	}
	if count[known]+count[unknown] == 0 {
		return 1, nil
	}
	return float32(count[known]) / float32(count[known]+count[unknown]), nil
}

// addRow adds the weighted row of id to dst. Products are rounded before they are added, so that no
// compiler fuses the two and results stay the same everywhere.
func (t *Table) addRow(dst []float32, id int32) {
	row := int(id)
	if t.mapping != nil {
		row = int(t.mapping[id])
	}
	weight := float32(1)
	if t.weights != nil {
		weight = t.weights[id]
	}
	switch t.layout {
	case layoutF32:
		for j, v := range t.f32[row*t.dim:][:len(dst)] {
			dst[j] += float32(v * weight)
		}
	case layoutF16:
		data := t.data[2*row*t.dim:][:2*len(dst)]
		for j := range dst {
			dst[j] += float32(halfToFloat(uint16(data[2*j])|uint16(data[2*j+1])<<8) * weight)
		}
	case layoutBF16:
		data := t.data[2*row*t.dim:][:2*len(dst)]
		for j := range dst {
			v := math.Float32frombits(uint32(data[2*j])<<16 | uint32(data[2*j+1])<<24)
			dst[j] += float32(v * weight)
		}
	case layoutI8:
		for j, v := range t.data[row*t.dim:][:len(dst)] {
			dst[j] += float32(float32(int8(v)) * weight)
		}
	case layoutInt4:
		groups := t.dim / Group
		addInt4(dst, t.data[row*t.dim/2:][:t.dim/2], t.scales[row*groups:][:groups], weight)
	}
}

// normalize brings x to length 1; the zero vector stays. Squares of float32 are exact in float64.
func normalize(x []float32) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for j, v := range x {
		x[j] = float32(float64(v) * scale)
	}
}
