package models

import (
	"context"
	"fmt"
)

// HiddenInto is EmbedIDsInto that also gives what the vector was made of: the encoder's states after
// the last layer, in hidden. It is for tools that learn from an encoder.
//
// Shape:  ids (tokens,); hidden (tokens, Describe().Hidden); dst (Dim,).
// Errors: as EmbedIDsInto, dst and hidden are then undefined; *OptionError for a static table, which
// has no states.
func (m *Model) HiddenInto(ctx context.Context, ids []int32, hidden, dst []float32) error {
	if !m.gate.enter() {
		return ErrClosed
	}
	defer m.gate.leave()
	e, ok := m.encoder.(*bertEncoder)
	if !ok {
		return &OptionError{"HiddenInto", fmt.Sprintf("a model of the kind %s has no hidden states", m.encoder.shape())}
	}
	if len(dst) != m.Dim() {
		return &SizeError{"dst", len(dst), m.Dim()}
	}
	if want := len(ids) * e.config.HiddenSize; len(hidden) != want {
		return &SizeError{"hidden", len(hidden), want}
	}
	if err := m.checkIDs(ids); err != nil {
		return err
	}
	var err error
	if e.int8 != nil {
		err = e.int8.Forward(ctx, [][]int32{ids}, [][]float32{hidden}, e.run)
	} else {
		err = e.floats.Forward(ctx, ids, hidden)
	}
	if err != nil {
		return err
	}
	return e.finish(hidden, dst, new(scratch))
}
