package models

import (
	"fmt"
	"slices"

	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// OutputFormat is the form of the components of an Embedding.
type OutputFormat int64

// The forms. Vectors are computed first and quantised then: neither form makes Embed faster, both make
// what is stored smaller.
const (
	OutputF32  OutputFormat = iota // float32; the default
	OutputI8                       // int8 with a Scale for the vector, the 127th part of its largest component
	OutputBits                     // the signs, 1 for what is greater than 0
)

// Output sets the form of what Embed returns. The other calls write float32 into the caller's memory and
// refuse another form, and so does Open, whose options hold for all calls.
func Output(form OutputFormat) Option {
	return Option{Kind: types.OptionOutput, Value: int64(form)}
}

// Dimensions cuts vectors to their first n components and brings them to length 1 again. That is for
// models that were trained for it (Matryoshka representation learning) and say so: in config.json as
// is_matryoshka or matryoshka_dimensions, in config_sentence_transformers.json as truncate_dim or
// matryoshka_dims, or in the model card as sentence-transformers writes it. To others, and for lengths that the
// model was not trained for, it is an *OptionError. Given to Open it sets Dim.
func Dimensions(n int) Option {
	return Option{Kind: types.OptionDimensions, Value: int64(n)}
}

// checkDimensions says whether vectors of n components are to be had.
func (m *Model) checkDimensions(n int64) error {
	full := int64(m.encoder.dim())
	switch {
	case n == full:
		return nil
	case n < 1 || n > full:
		return &OptionError{"Dimensions", fmt.Sprintf("%d components, the model makes %d", n, full)}
	case !m.card.shorter:
		return &OptionError{"Dimensions", fmt.Sprintf("%d components: the model was not trained for vectors shorter than its %d, as far as its files say", n, full)}
	case len(m.card.dims) > 0 && !slices.Contains(m.card.dims, int(n)):
		return &OptionError{"Dimensions", fmt.Sprintf("%d components: the model was trained for %v and %d", n, m.card.dims, full)}
	}
	return nil
}

// spaceOf names the space of the vectors made under set.
func (m *Model) spaceOf(set settings) types.SpaceID {
	space := m.spaces[set.role]
	if set.dims != m.encoder.dim() {
		space += types.SpaceID(fmt.Sprintf("/first-%d", set.dims))
	}
	switch set.output {
	case OutputI8:
		space += "/i8"
	case OutputBits:
		space += "/bits"
	}
	return space
}

// quantize makes an embedding of the form of v, which it may keep.
func (f OutputFormat) quantize(v []float32) types.Embedding {
	switch f {
	case OutputI8:
		e := types.Embedding{I8: make([]int8, len(v))}
		e.Scale = simd.QuantizeF32I8(e.I8, v)
		return e
	case OutputBits:
		e := types.Embedding{Bits: make([]uint64, (len(v)+63)/64)}
		simd.BinarizeF32U64(e.Bits, v)
		return e
	}
	return types.Embedding{F32: v}
}
