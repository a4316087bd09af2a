// Package encoder is the suite of measurements of text to vector: the encoder on its own, with its
// tokeniser, under many callers and beside garbage. Programs that print its tables are in bench/models
// and, with other libraries beside, in bench/peers/encoder. It measures all-MiniLM-L6-v2, whose weights
// `make weights` fetches; without them its cases are absent.
package encoder

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models"
)

// Gomai is the case of a group that runs with the suite's precision, at the level that is chosen by itself.
const Gomai = "gomai"

// precision is that of all cases that do not name another.
const precision = models.Int8

// Groups returns the suite.
func Groups() []bench.Group {
	var groups []bench.Group
	for _, l := range Latencies {
		groups = append(groups, l.Group())
	}
	groups = append(groups, steps(), levels(), threads(32), threads(128), Throughput())
	groups = append(groups, callers(8, withTiles(4, 1.4))...)
	groups = append(groups, callers(32, withTiles(1.6, 1))...)
	groups = append(groups, tail(false), tail(true))
	for _, s := range Splits() {
		groups = append(groups, s.Group())
	}
	groups = append(groups, static())
	for _, q := range Qualities() {
		groups = append(groups, q.Group())
	}
	return groups
}

// Folder is that of the model.
func Folder() string { return testmodel.MiniLMDir() }

// weighed makes a case absent where there are no weights.
func weighed(c bench.Case) bench.Case {
	if _, err := os.Stat(Folder()); err != nil {
		c.Code, c.Absent, c.Open = "", "no weights", nil
	}
	return c
}

// open opens the model in a precision.
func open(f models.NumberFormat, opts ...models.Option) (*models.Model, error) {
	return models.Open(Folder(), append(opts, models.Precision(f), models.MaxTokens(512))...)
}

// own is the case of gomai in a precision. prepare makes its Round; the model is closed with the case.
func own(name string, f models.NumberFormat, prepare func(m *models.Model) (bench.Round, error), opts ...models.Option) bench.Case {
	level, _ := cpu.Detect()
	return weighed(bench.Case{Name: name, Code: fmt.Sprintf("%v, %v", f, level), Open: func() (bench.Round, func(), error) {
		m, err := open(f, opts...)
		if err != nil {
			return nil, nil, err
		}
		round, err := prepare(m)
		return round, func() { m.Close() }, err
	}})
}

// IDs are n random tokens between the two special ones, always the same.
func IDs(n int) []int32 {
	r := rand.New(rand.NewPCG(9, uint64(n)))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = 1000 + r.Int32N(29_000)
	}
	ids[0], ids[n-1] = 101, 102
	return ids
}

// timedIDs is a Round of calls on ids.
func timedIDs(m *models.Model, ids []int32, calls int) (bench.Round, error) {
	ctx, dst := context.Background(), make([]float32, m.Dim())
	run := func(n int) error {
		for range n {
			if err := m.EmbedIDsInto(ctx, ids, dst); err != nil {
				return err
			}
		}
		return nil
	}
	return bench.Timed(calls, run), run(2)
}

// Vectors returns the vectors of texts of ids in float32, or in the suite's precision.
func Vectors(f models.NumberFormat, texts [][]int32) ([]float32, error) {
	m, err := open(f)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	v := make([]float32, len(texts)*m.Dim())
	for i, ids := range texts {
		if err := m.EmbedIDsInto(context.Background(), ids, v[i*m.Dim():][:m.Dim()]); err != nil {
			return nil, err
		}
	}
	return v, nil
}
