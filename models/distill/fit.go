package distill

import (
	"context"
	"math"
	"math/rand/v2"
)

const (
	saladEpochs  = 5
	corpusEpochs = 8
)

// lessons are what the teacher said: the material of the fit.
type lessons struct {
	hidden int
	pooled []float32 // (rows, hidden) the unit vector of each token as a text of its own
	inner  []float32 // (rows, hidden) the teacher's state at the token in that text
	salads *bags
	said   []float32 // (salads, hidden) unit vectors
	corpus *bags     // nil without one
	wrote  []float32 // (corpus, hidden) unit vectors
}

// fit makes the table from the lessons, which it consumes.
func (v *vocabulary) fit(ctx context.Context, l *lessons, dim int, rng *rand.Rand, progress Progress) (*table, error) {
	mean := columnMeans(l.said, l.hidden)
	centre(l.said, mean)
	basis, err := principal(ctx, l.said, l.hidden, dim, func(done, total int) {
		progress("finding the basis", done, total)
	})
	if err != nil {
		return nil, err
	}
	t := &table{dim: dim, rows: project(v.initial(l), basis), logScale: make([]float32, len(v.ids))}
	scaleTo(t.rows, math.Sqrt(float64(len(v.ids)))) // RMS row norm 1
	err = train(ctx, t, l.salads, project(l.said, basis), saladEpochs, rng, func(done, total int) {
		progress("training on salads", done, total)
	})
	if err != nil {
		return nil, err
	}
	if l.corpus != nil {
		centre(l.wrote, mean)
		err = train(ctx, t, l.corpus, project(l.wrote, basis), corpusEpochs, rng, func(done, total int) {
			progress("training on the corpus", done, total)
		})
		if err != nil {
			return nil, err
		}
	}
	t.fold()
	return t, nil
}

// initial is the sum of the two views that the teacher has of each token, each centred and brought
// to the same size, weighted by the token's frequency: the commonest words say least.
func (v *vocabulary) initial(l *lessons) []float32 {
	for _, x := range [][]float32{l.pooled, l.inner} {
		centre(x, columnMeans(x, l.hidden))
		scaleTo(x, 1)
	}
	for r := range v.ids {
		rank := float64(v.rank(r))
		weight := float32((rank + 1) / (rank + 103))
		for j := r * l.hidden; j < (r+1)*l.hidden; j++ {
			l.pooled[j] = weight * (l.pooled[j] + l.inner[j])
		}
	}
	return l.pooled
}

// scaleTo brings x to the given Frobenius norm. All zeros stay so.
func scaleTo(x []float32, norm float64) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	if sum == 0 {
		return
	}
	f := float32(norm / math.Sqrt(sum))
	for i := range x {
		x[i] *= f
	}
}
