package search_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/maida-ai/gomai/metrics/search"
	"github.com/maida-ai/gomai/types"
)

func ExampleSearcher_TopK() {
	rows := []float32{
		1, 0,
		0, 1,
		3, 4,
	}
	m, err := search.FromF32("a space", 2, rows)
	if err != nil {
		panic(err)
	}
	query := types.Embedding{F32: []float32{4, 3}, Space: "a space"}
	hits := make([]search.Hit, 2)

	var s search.Searcher // one for each goroutine, to keep
	n, err := s.TopK(context.Background(), m, m.All(), &query, hits)
	if err != nil {
		panic(err)
	}
	for _, h := range hits[:n] {
		fmt.Printf("row %d: %.2f\n", h.Row, h.Score)
	}
	// Output:
	// row 2: 0.96
	// row 0: 0.80
}

func ExampleSearcher_TopKRerank() {
	exact, err := search.FromF32("a space", 4, []float32{
		1, 1, 1, 1,
		1, 2, 3, 4,
		4, 3, 2, 1,
		-1, 1, -1, 1,
	})
	if err != nil {
		panic(err)
	}
	signs, err := exact.Quantize(search.Binary)
	if err != nil {
		panic(err)
	}
	query := types.Embedding{F32: []float32{1, 2, 2, 3}, Space: "a space"}
	hits := make([]search.Hit, 1)

	s := search.Searcher{Metric: search.Cosine}
	// The signs, an eighth of the bytes of int8, leave three rows, which the floats then rank.
	n, err := s.TopKRerank(context.Background(), signs, exact, exact.All(), &query, 3, hits)
	if err != nil {
		panic(err)
	}
	fmt.Println(n, hits[0].Row)
	// Output: 1 1
}

// goroutines runs the pieces of a search at once. A server has a pool of its own, or takes the crew of
// the engine that runs its pipelines.
type goroutines struct{}

func (goroutines) Run(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// Several goroutines find what one finds.
func ExampleSearcher_runner() {
	rows := make([]float32, 100_000*2)
	for i := range rows {
		rows[i] = float32(i % 1001)
	}
	m, err := search.FromF32("a space", 2, rows)
	if err != nil {
		panic(err)
	}
	query := types.Embedding{F32: []float32{1, -1}, Space: "a space"}
	hits := make([]search.Hit, 1)
	s := search.Searcher{Metric: search.Dot, Runner: goroutines{}}
	if _, err := s.TopK(context.Background(), m, m.All(), &query, hits); err != nil {
		panic(err)
	}
	fmt.Println(hits[0])
	// Output: {500 1000}
}
