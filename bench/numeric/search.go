package numeric

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/internal/peak"
	"github.com/maida-ai/gomai/metrics/search"
	"github.com/maida-ai/gomai/types"
)

// Search is the search for the rows that are most alike to a query, and the limit that it is held to.
type Search struct {
	Name    string // of the group
	Kind    search.Kind
	Rows    int
	USearch float64 // how many times as fast as USearch's it is at least
}

// The rows have Dim components, and the best K are wanted.
const (
	Dim = 384
	K   = 10
)

// Searches are all searches in the suite.
var Searches = []*Search{
	newSearch(search.F32, 10_000, 1),
	newSearch(search.I8, 10_000, 1.35),
	newSearch(search.Binary, 10_000, 11),
	newSearch(search.F32, 1000, 2.8),
	newSearch(search.I8, 1000, 4.8),
	newSearch(search.Binary, 1000, 9),
}

func newSearch(kind search.Kind, rows int, usearch float64) *Search {
	return &Search{fmt.Sprintf("top %d of %d x %d, %v", K, rows, Dim, kind), kind, rows, usearch}
}

var products = []search.Metric{search.Cosine, search.Dot}

// kinds says of each kind of rows what compares them, and at which levels it has code of its own.
var kinds = map[search.Kind]struct {
	primitive string
	bytes     int // of a row
	metrics   []search.Metric
	levels    []cpu.Level
}{
	search.F32:    {"DotRowsF32", 4 * Dim, products, []cpu.Level{cpu.AVX512, cpu.AVX2, cpu.Generic}},
	search.I8:     {"DotRowsI8", Dim, products, []cpu.Level{cpu.AVX512VNNI, cpu.AVX512, cpu.AVXVNNI, cpu.AVX2, cpu.Generic}},
	search.Binary: {"HammingRowsU64", Dim / 8, []search.Metric{search.Hamming}, []cpu.Level{cpu.AVX512, cpu.AVX2, cpu.Generic}},
}

// Metrics are those that the search is measured with.
func (s *Search) Metrics() []search.Metric { return kinds[s.Kind].metrics }

// Bytes are those of the rows.
func (s *Search) Bytes() float64 { return float64(s.Rows * kinds[s.Kind].bytes) }

// Calls are those of a round: several also where it takes one to bring the rows back into the cache.
func (s *Search) Calls() int { return int(max(5, 1e7/s.Bytes())) }

// Rows are a query and rows of one kind.
type Rows struct {
	F32, RowsF32   []float32
	I8, RowsI8     []int8
	Bits, RowsBits []uint64
}

// Data are random vectors, always the same ones.
func (s *Search) Data() Rows {
	switch s.Kind {
	case search.I8:
		return Rows{I8: integers(7, Dim), RowsI8: integers(8, s.Rows*Dim)}
	case search.Binary:
		return Rows{Bits: words(7, Dim/64), RowsBits: words(8, s.Rows*Dim/64)}
	}
	return Rows{F32: floats(7, Dim), RowsF32: floats(8, s.Rows*Dim)}
}

func words(seed uint64, n int) []uint64 {
	r := rand.New(rand.NewPCG(seed, 3))
	v := make([]uint64, n)
	for i := range v {
		v[i] = r.Uint64()
	}
	return v
}

// Prepare returns a function that searches by a metric and returns the best rows, in memory that it uses
// again.
func (s *Search) Prepare(by search.Metric) (func() ([]search.Hit, error), error) {
	d := s.Data()
	query := types.Embedding{F32: d.F32, I8: d.I8, Bits: d.Bits, Space: "random"}
	var m *search.Matrix
	var err error
	searcher := &search.Searcher{Metric: by}
	switch s.Kind {
	case search.F32:
		m, err = search.FromF32(query.Space, Dim, d.RowsF32)
	case search.I8:
		query.Scale = 1
		scales := make([]float32, s.Rows)
		for i := range scales {
			scales[i] = 1
		}
		m, err = search.FromI8(query.Space, Dim, d.RowsI8, scales)
	case search.Binary:
		m, err = search.FromBits(query.Space, Dim, d.RowsBits)
	}
	if err != nil {
		return nil, err
	}
	hits := make([]search.Hit, K)
	return func() ([]search.Hit, error) {
		n, err := searcher.TopK(context.Background(), m, m.All(), &query, hits)
		return hits[:n], err
	}, nil
}

func (s *Search) open(by search.Metric) func() (bench.Round, func(), error) {
	return func() (bench.Round, func(), error) {
		find, err := s.Prepare(by)
		if err != nil {
			return nil, nil, err
		}
		run := func(n int) error {
			for range n {
				if _, err := find(); err != nil {
					return err
				}
			}
			return nil
		}
		return bench.Timed(s.Calls(), run), nil, run(1)
	}
}

// By names the case of a library that searches by a metric.
func By(library string, metric search.Metric) string { return fmt.Sprintf("%s, %v", library, metric) }

func (s *Search) group() bench.Group {
	g := bench.Group{
		Name:   s.Name,
		About:  fmt.Sprintf("The best %d of %d rows of %d components by Searcher.TopK, on one core, beside loads of as many bytes alone.", K, s.Rows, Dim),
		Rounds: 60,
		Rate:   "GB/s",
	}
	kind := kinds[s.Kind]
	p := make([]byte, int(s.Bytes())/peak.StreamBytes*peak.StreamBytes)
	for i := range p {
		p[i] = byte(i)
	}
	g.Cases = append(g.Cases, bench.Case{Name: "loads", Code: code("Stream"), Work: float64(len(p)), Open: opened(s.Calls(), func() { peak.Stream(p) })})
	for _, m := range kind.metrics {
		g.Cases = append(g.Cases, bench.Case{Name: By(Gomai, m), Code: code(kind.primitive), Work: s.Bytes(), Open: s.open(m)})
	}
	for _, l := range kind.levels {
		name := fmt.Sprintf("%s, %v", By(Gomai, kind.metrics[0]), l)
		g.Cases = append(g.Cases, atLevel(l, kind.primitive, bench.Case{Name: name, Work: s.Bytes(), Open: s.open(kind.metrics[0])}))
	}
	return g
}
