package layers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

//go:noinline
func incInto(_ context.Context, in int64, out *int64) error { *out = in + 1; return nil }

func inc(i int) Module[int64, int64] { return Into(fmt.Sprint("inc", i), incInto) }

func chain10() Module[int64, int64] {
	return Sequential(Sequential5(inc(0), inc(1), inc(2), inc(3), inc(4)), Sequential5(inc(5), inc(6), inc(7), inc(8), inc(9)))
}

func diamond10() Module[int64, int64] {
	branches := make([]Module[int64, int64], 8)
	for i := range branches {
		branches[i] = inc(i)
	}
	return Sequential3(inc(9), Parallel(branches...), Into("sum", sumInto))
}

func sumInto(_ context.Context, in []int64, out *int64) error {
	*out = 0
	for _, v := range in {
		*out += v
	}
	return nil
}

type ctxKey struct{}

// httpContext is built as net/http builds the context of a request.
func httpContext(t testing.TB) context.Context {
	c, stop := context.WithCancel(context.WithValue(context.Background(), ctxKey{}, 1))
	c, stop2 := context.WithCancel(c)
	t.Cleanup(func() { stop2(); stop() })
	return c
}

func must[I, O any](t testing.TB, m Module[I, O], opts ...Option) *Engine[I, O] {
	t.Helper()
	e, err := Compile(m, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// bench is a case that is compared with others.
type bench struct {
	name string
	run  func(n int)
	ns   []float64
}

// engine is a case that calls m.
func engine[I, O any](b *testing.B, name string, m Module[I, O], ctx context.Context, in I, opts ...Option) *bench {
	e := must(b, m)
	var out O
	run := func(n int) {
		for range n {
			if err := e.CallInto(ctx, in, &out, opts...); err != nil {
				b.Fatal(err)
			}
		}
	}
	run(40) // past the trial on the lane
	return &bench{name: name, run: run}
}

// compare runs all cases in turn in short rounds and reports the ratios, of minima and of medians, to
// the first.
func compare(b *testing.B, rounds, calls int, cases ...*bench) {
	for b.Loop() {
		for range rounds {
			for _, c := range cases {
				start := time.Now()
				c.run(calls)
				c.ns = append(c.ns, float64(time.Since(start).Nanoseconds())/float64(calls))
			}
		}
	}
	k := cases[0]
	for _, c := range cases {
		slices.Sort(c.ns)
	}
	b.ReportMetric(k.ns[0], k.name+"-ns")
	for _, c := range cases[1:] {
		b.ReportMetric(c.ns[0]/k.ns[0], c.name+"-min/"+k.name)
		b.ReportMetric(c.ns[len(c.ns)/2]/k.ns[len(k.ns)/2], c.name+"-median/"+k.name)
	}
}

// BenchmarkExec compares engines with K, the time of ten plain closure calls that do the same work. Where
// the linker puts K's loop makes a difference of a fifth to it.
func BenchmarkExec(b *testing.B) {
	fs := make([]func(context.Context, int64, *int64) error, 10)
	for i := range fs {
		fs[i] = incInto
	}
	bg, h := context.Background(), httpContext(b)
	k := &bench{name: "K", run: func(n int) {
		var out int64
		for range n {
			in := int64(1)
			for _, f := range fs {
				if f(bg, in, &out) != nil {
					b.Fatal("error")
				}
				in = out
			}
		}
	}}
	v := context.WithValue(context.WithValue(context.WithValue(h, ctxKey{}, 1), ctxKey{}, 2), ctxKey{}, 3)
	limit := Timeout(time.Second)
	chain, diamond := chain10().With(limit), diamond10().With(limit)
	compare(b, 300, 500, k,
		engine(b, "chain", chain, bg, 1),
		engine(b, "chain-http", chain, h, 1),
		engine(b, "chain-http-3values", chain, v, 1),
		engine(b, "diamond", diamond, bg, 1),
		engine(b, "diamond-http", diamond, h, 1),
		engine(b, "one", inc(0).With(limit), bg, 1),
	)
}

// BenchmarkCosts compares what a call may cost beyond its steps with a call of one step: a trace of ten
// steps, a hop to the lane, a context that is asked or pinned, a result that is copied.
func BenchmarkCosts(b *testing.B) {
	h := httpContext(b)
	var spans TraceHandle
	ask := func(name string, f func(context.Context)) *bench {
		return engine(b, name, Into(name, func(ctx context.Context, in int64, out *int64) error {
			f(ctx)
			*out = in
			return nil
		}).With(Computing), h, 1)
	}
	list := Into("list", func(_ context.Context, n int, out *[]float32) error {
		if cap(*out) < n {
			*out = make([]float32, n)
		}
		*out = (*out)[:n]
		return nil
	}).With(Computing)
	length := Into("length", func(_ context.Context, v []float32, out *int) error { *out = len(v); return nil }).With(Computing)
	compare(b, 100, 100, engine(b, "one", inc(0).With(Computing), h, 1),
		engine(b, "chain", chain10().With(Computing), h, 1),
		engine(b, "chain-traced", chain10().With(Computing), h, 1, Trace(&spans)),
		engine(b, "lane", inc(0).With(Blocking), h, 1),
		ask("err", func(ctx context.Context) { _ = ctx.Err() }),
		ask("value", func(ctx context.Context) { _ = ctx.Value(ctxKey{}) }),
		ask("done", func(ctx context.Context) { _ = ctx.Done() }),
		engine(b, "384-floats-kept", Sequential(list, length), h, 384),
		engine(b, "384-floats-copied", list, h, 384),
	)
}
