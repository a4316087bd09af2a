package metrics

import (
	"fmt"

	"github.com/maida-ai/gomai/types"
)

// Metric compares two vectors of one length: Cosine, Dot, Euclidean or the user's own.
type Metric func(a, b []float32) float64

// Names lists the metrics that ByName knows.
func Names() []string {
	return []string{"cosine", "dot", "euclidean"}
}

// ByName returns the metric of one of the Names; false if there is none.
func ByName(name string) (Metric, bool) {
	switch name {
	case "cosine":
		return Cosine, true
	case "dot":
		return Dot, true
	case "euclidean":
		return Euclidean, true
	}
	return nil, false
}

// Compare returns the metric of two embeddings. Those of different spaces cannot be compared: the
// error is a *types.SpaceError that names both. It is a *ShapeError if the lengths differ or one of
// them holds no float32 components. Without an error nothing is allocated.
func Compare(m Metric, a, b *types.Embedding) (float64, error) {
	if a.Space != b.Space {
		return 0, &types.SpaceError{A: a.Space, B: b.Space}
	}
	if len(a.F32) != len(b.F32) || len(a.F32) == 0 {
		return 0, &ShapeError{A: len(a.F32), B: len(b.F32)}
	}
	return m(a.F32, b.F32), nil
}

// ShapeError says that two embeddings have no float32 components that could be compared.
type ShapeError struct {
	A, B int // float32 components of each
}

func (e *ShapeError) Error() string {
	return fmt.Sprintf("embeddings with %d and %d float32 components cannot be compared", e.A, e.B)
}
