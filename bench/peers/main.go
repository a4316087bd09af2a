// Command peers runs the graphs of package bench in other libraries too, all in one run and in turns, and
// prints the tables. It is a module of its own, so that these libraries are no dependencies of gomai.
package main

import (
	"context"
	"slices"

	"github.com/maida-ai/gomai/bench"
)

// call runs a graph on in and fills out.
type call func(ctx context.Context, in int64, out []int64) error

// peer is a library. Its graphs are built once and called many times, as its documentation recommends;
// nil is a graph that it has no notion of.
type peer struct {
	name           string
	chain, diamond func() (call, error)                                        // as bench.Chain and bench.Diamond
	fork           func(n int, work func(in int64, i int) int64) (call, error) // out[i] = work(in, i)
}

var peers = []peer{eino, taskflow, concWaitGroup, concIter, errGroup, goroutines}

func main() {
	bench.Program{Section: "peers", Command: "cd bench/peers && go run .", Groups: groups()}.Main()
}

// groups returns those of the suite that peers can run, with the peers' cases.
func groups() []bench.Group {
	var groups []bench.Group
	for _, g := range bench.Groups() {
		switch g.Name {
		case "no-ops":
			g.About += " Peers that only start goroutines have no chain."
			for _, p := range peers {
				if p.chain != nil {
					g.Cases = append(g.Cases, open("chain of 10, "+p.name, bench.Timed, 5, 1, p.chain))
				}
			}
			for _, p := range peers {
				g.Cases = append(g.Cases, open("diamond of 10, "+p.name, bench.Timed, 5, 1, p.diamond))
			}
			for _, p := range peers {
				g.Cases = append(g.Cases, open("fork-join of 8, "+p.name, bench.Timed, 5, 8, forked(p, 8, plus)))
			}
			for _, p := range peers {
				g.Cases = append(g.Cases, open("fork-join of 64, "+p.name, bench.Timed, 2, 64, forked(p, 64, plus)))
			}
		case "8 branches of 1 µs":
			add(&g, 1000, 1)
			for _, p := range []peer{concWaitGroup, concIter, errGroup} {
				g.Limits = append(g.Limits, bench.Limit{Case: p.name, Of: bench.Gomai, Stat: bench.Median, Bound: 1.3, AtLeast: true})
			}
		case "8 branches of 100 µs":
			add(&g, 10, 100)
		default:
			continue
		}
		groups = append(groups, g)
	}
	return groups
}

// add adds every peer's eight branches of some microseconds, calls of them a turn.
func add(g *bench.Group, calls, microseconds int) {
	for _, p := range peers {
		if slices.ContainsFunc(g.Cases, func(c bench.Case) bool { return c.Name == p.name }) {
			continue // the suite has it
		}
		n := calls
		if p.chain != nil { // a framework needs no long turn to get going, and remembers what it ran
			n = max(calls/50, 1)
		}
		g.Cases = append(g.Cases, open(p.name, bench.Each, n, 8, forked(p, 8, spin(microseconds))))
	}
}

func plus(in int64, i int) int64 { return in + int64(i) }

// spin is the work of bench.Branches.
func spin(microseconds int) func(int64, int) int64 {
	return func(in int64, i int) int64 { return bench.Spin(microseconds, in+int64(i)) }
}

// forked binds the arguments of a peer's fork.
func forked(p peer, n int, work func(int64, int) int64) func() (call, error) {
	return func() (call, error) { return p.fork(n, work) }
}

// measure makes a Round of calls that run makes.
type measure func(calls int, run func(n int) error) bench.Round

// open makes a case of a graph with some results: calls of it a round, after 20 to warm up.
func open(name string, m measure, calls, results int, build func() (call, error)) bench.Case {
	return bench.Case{Name: name, Open: func() (bench.Round, func(), error) {
		f, err := build()
		if err != nil {
			return nil, nil, err
		}
		ctx, out := context.Background(), make([]int64, results)
		next := 0
		run := func(n int) error {
			for range n {
				if err := f(ctx, bench.Inputs[next%len(bench.Inputs)], out); err != nil {
					return err
				}
				next++
			}
			return nil
		}
		return m(calls, run), nil, run(20)
	}}
}
