package main

import (
	"context"
	"sync"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/iter"
	"golang.org/x/sync/errgroup"

	"github.com/maida-ai/gomai/bench"
)

// each runs f for 0 to n-1, all at once, and waits.
type each func(n int, f func(i int)) error

// starter is a peer that starts goroutines and waits for them.
func starter(name string, all each) peer {
	fork := func(n int, work func(int64, int) int64) (call, error) {
		return func(_ context.Context, in int64, out []int64) error {
			return all(n, func(i int) { out[i] = work(in, i) })
		}, nil
	}
	return peer{name: name, fork: fork, diamond: func() (call, error) {
		cells := make([]int64, 8)
		branches, err := fork(len(cells), plus)
		return func(ctx context.Context, in int64, out []int64) error {
			err := branches(ctx, plus(in, 9), cells)
			out[0] = 0
			for _, v := range cells {
				out[0] += v
			}
			return err
		}, err
	}}
}

var goroutines = starter(bench.Goroutines, func(n int, f func(int)) error {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
	return nil
})

var concWaitGroup = starter("conc.WaitGroup", func(n int, f func(int)) error {
	var wg conc.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
	return nil
})

// concIter starts as many goroutines as there are cores.
var concIter = starter("conc/iter", func(n int, f func(int)) error {
	iter.ForEachIdx(make([]struct{}, n), func(i int, _ *struct{}) { f(i) })
	return nil
})

var errGroup = starter("errgroup", func(n int, f func(int)) error {
	var g errgroup.Group // without a context, which costs more
	for i := range n {
		g.Go(func() error { f(i); return nil })
	}
	return g.Wait()
})
