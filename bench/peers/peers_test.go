package main

import (
	"context"
	"slices"
	"testing"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/layers"
)

// TestPeers: every peer's graph computes what gomai's does.
func TestPeers(t *testing.T) {
	one := func(m layers.Module[int64, int64]) func(in int64) []int64 {
		f := engine(t, m)
		return func(in int64) []int64 { return []int64{f(in)} }
	}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			if p.chain != nil {
				compare(t, "chain", one(bench.Chain()), p.chain)
			}
			compare(t, "diamond", one(bench.Diamond()), p.diamond)
			compare(t, "fork-join of 8", engine(t, bench.ForkJoin(8)), forked(p, 8, plus))
			compare(t, "fork-join of 64", engine(t, bench.ForkJoin(64)), forked(p, 64, plus))
			compare(t, "branches", engine(t, bench.Branches(1)), forked(p, 8, spin(1)))
		})
	}
}

func compare(t *testing.T, name string, want func(in int64) []int64, build func() (call, error)) {
	t.Helper()
	f, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range bench.Inputs[:20] {
		w := want(in)
		got := make([]int64, len(w))
		if err := f(context.Background(), in, got); err != nil || !slices.Equal(got, w) {
			t.Errorf("%s of %d = %d, %v; want %d", name, in, got, err, w)
		}
	}
}

func engine[O any](t *testing.T, m layers.Module[int64, O]) func(in int64) O {
	e, err := layers.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return func(in int64) O {
		out, err := e.Call(context.Background(), in)
		if err != nil {
			t.Error(err)
		}
		return out
	}
}

// TestGroups runs every case, and finds every limit's.
func TestGroups(t *testing.T) {
	g := groups()
	if len(g) != 3 {
		t.Fatalf("%d groups, want 3", len(g))
	}
	results, _, err := bench.Run(g, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if len(r.Samples) == 0 {
			t.Errorf("%s: %s has no samples", r.Group, r.Name)
		}
	}
}
