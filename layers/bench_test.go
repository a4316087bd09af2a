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

// BenchmarkExec compares engines with K, the time of ten plain closure calls that do the same work. All
// cases run in turn in short rounds; the metrics are ratios of minima and of medians.
func BenchmarkExec(b *testing.B) {
	const rounds, calls = 300, 500
	fs := make([]func(context.Context, int64, *int64) error, 10)
	for i := range fs {
		fs[i] = incInto
	}
	bg := context.Background()
	type bench struct {
		name string
		run  func(n int)
		ns   []float64
	}
	engine := func(name string, m Module[int64, int64], ctx context.Context) *bench {
		e := must(b, m.With(Timeout(time.Second)))
		var out int64
		run := func(n int) {
			for range n {
				if err := e.CallInto(ctx, 1, &out); err != nil {
					b.Fatal(err)
				}
			}
		}
		run(40) // past the trial on the lane
		return &bench{name: name, run: run}
	}
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
	h := httpContext(b)
	v := context.WithValue(context.WithValue(context.WithValue(h, ctxKey{}, 1), ctxKey{}, 2), ctxKey{}, 3)
	cases := []*bench{k,
		engine("chain", chain10(), bg),
		engine("chain-http", chain10(), h),
		engine("chain-http-3values", chain10(), v),
		engine("diamond", diamond10(), bg),
		engine("diamond-http", diamond10(), h),
		engine("one", inc(0), bg),
	}
	for b.Loop() {
		for range rounds {
			for _, c := range cases {
				start := time.Now()
				c.run(calls)
				c.ns = append(c.ns, float64(time.Since(start).Nanoseconds())/calls)
			}
		}
	}
	for _, c := range cases {
		slices.Sort(c.ns)
	}
	b.ReportMetric(k.ns[0], "K-ns")
	for _, c := range cases[1:] {
		b.ReportMetric(c.ns[0]/k.ns[0], c.name+"-min/K")
		b.ReportMetric(c.ns[len(c.ns)/2]/k.ns[len(k.ns)/2], c.name+"-median/K")
	}
}
