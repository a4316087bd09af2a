package layers

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
)

var (
	allocRate = NewKey("alloc rate", 0.5)
	allocOn   = NewKey("alloc on", false)
)

// TestZeroAllocations lists what costs no allocation once it is warm: each entry by CallInto under the
// background context, under one as net/http makes it, and under one made for the request, which may cost
// what making it does.
func TestZeroAllocations(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	flat := func(name string, m Module[int64, int64], opts func(i int) []Option) {
		t.Helper()
		allocates(t, name, m.With(Computing), func(i int) int64 { return int64(i) }, opts)
	}
	pass := func(_ context.Context, in int64, out *int64) error { *out = in; return nil }
	odd := func(_ context.Context, in int64) (bool, error) { return in%2 == 1, nil }
	none := func(int) []Option { return nil }

	flat("one step", inc(0), none)
	flat("Plain", Plain("plain", func(in int64) (int64, error) { return in, nil }), none)
	flat("Func", Func("func", func(_ context.Context, in int64) (int64, error) { return in, nil }), none)
	flat("a chain", chain10(), none)
	flat("a diamond", diamond10(), none)
	flat("a diamond in a diamond", Sequential(Parallel(diamond10(), diamond10(), chain10()), Into("sum", sumInto)), none)
	flat("WaitAll", Sequential(Parallel(inc(0), inc(1)).With(WaitAll), Into("sum", sumInto)), none)
	flat("Both", Sequential(Both(inc(0), Into("text", func(_ context.Context, _ int64, out *string) error { *out = "x"; return nil })),
		Into("both", func(_ context.Context, p Pair[int64, string], out *int64) error {
			*out = p.First + int64(len(p.Second))
			return nil
		})), none)
	flat("Conditional", Conditional(odd, inc(0), chain10()), none)
	flat("Conditional with pointers", Sequential(Conditional(odd,
		Into("into", func(_ context.Context, n int64, out *[]string) error { *out = append((*out)[:0], "a", "b"); return nil }),
		Plain("nil", func(int64) ([]string, error) { return nil, nil })),
		Into("len", func(_ context.Context, v []string, out *int64) error { *out = int64(len(v)); return nil })), none)
	flat("Max", Sequential(Parallel(inc(0), inc(1), inc(2)), Aggregate(Max[int64])), none)
	flat("Min", Sequential(Parallel(inc(0), inc(1), inc(2)), Aggregate(Min[int64])), none)
	flat("Sum", Sequential(Parallel(inc(0), inc(1), inc(2)), Aggregate(Sum[int64])), none)
	flat("a Timeout of the call", chain10(), func(i int) []Option { return []Option{Timeout(time.Minute + time.Duration(i))} })
	flat("a long Timeout", chain10(), func(i int) []Option { return []Option{Timeout(time.Hour)} })
	flat("a Deadline", chain10(), func(i int) []Option { return []Option{Deadline(time.Now().Add(time.Hour))} })
	flat("inner limits", Sequential(chain10().With(Timeout(time.Minute)), Sequential(inc(0).With(Timeout(time.Hour)), inc(1))), none)

	flat("settings that change per call", Sequential(Into("reads", func(ctx context.Context, in int64, out *int64) error {
		*out = in
		if allocOn.Get(ctx) && allocRate.Get(ctx) > 10 {
			*out++
		}
		return nil
	}).With(Reads(allocRate, allocOn)), chain10()), func(i int) []Option {
		return []Option{allocRate.Set(float64(i)), allocOn.Set(i%2 == 0), Timeout(time.Minute)}
	})
	words := strings.Fields(strings.Repeat("some words of text ", 16))
	allocates(t, "texts", Sequential(Func("cut", func(_ context.Context, s string) (string, error) { return s[1:], nil }),
		Conditional(func(_ context.Context, s string) (bool, error) { return len(s) > 3, nil }, Plain("same", same[string]), Plain("cut", func(s string) (string, error) {
			return s[:1], nil
		}))).With(Computing), func(i int) string { return words[i] }, none)
	names := [...]string{"a", "b", "c"}
	flat("metadata that changes per call", Into("metadata", func(ctx context.Context, in int64, out *int64) error {
		*out = int64(len(kernel.Metadata(ctx, "user")) + len(kernel.Metadata(ctx, "outer")))
		return nil
	}).With(Metadata("outer", "value")), func(i int) []Option {
		return []Option{Metadata("user", names[i%3]), Metadata("other", names[i%2])}
	})
	auth := Auth("secret") // making it allocates: it is kept
	flat("accessors", Into("accessors", func(ctx context.Context, in int64, out *int64) error {
		if *out = in; kernel.Auth(ctx) != "secret" || kernel.StepID(ctx) == 0 || ctx.Err() != nil {
			t.Error("no auth, no id or an error")
		}
		_, _ = ctx.Deadline()
		return nil
	}), func(int) []Option { return []Option{auth, Timeout(time.Minute)} })
	inner := must(t, chain10().With(Computing))
	flat("a call inside a step", Into("outer", func(ctx context.Context, in int64, out *int64) error {
		return inner.CallInto(ctx, in, out, Timeout(time.Minute))
	}), none)
	allocates(t, "undeclared, past its trial", Sequential(Into("undeclared", pass), chain10()).With(Timeout(time.Minute)),
		func(i int) int64 { return int64(i) }, none)

	list := Into("list", func(_ context.Context, n int, out *[]int64) error {
		*out = (*out)[:0]
		for i := range n {
			*out = append(*out, int64(i))
		}
		return nil
	}).With(Computing)
	sizes := func(i int) int { return 1 + i*7%50 } // grow and shrink
	allocates(t, "slices", list, sizes, none)
	allocates(t, "rows", Parallel(list, list, Sequential(list, Into("more", func(_ context.Context, v []int64, out *[]int64) error {
		*out = append(append((*out)[:0], v...), v...)
		return nil
	}))).With(Computing), sizes, none)
	allocates(t, "a struct of slices", Both(list, Into("texts", func(_ context.Context, n int, out *[]string) error {
		*out = (*out)[:0]
		for range n {
			*out = append(*out, "text")
		}
		return nil
	})).With(Computing), sizes, none)
	matrix := make([][]float64, 50)
	for i := range matrix {
		matrix[i] = make([]float64, 30)
	}
	rows := func(i int) [][]float64 { return matrix[:sizes(i)] }
	allocates(t, "Mean", Aggregate(Mean[float64]), func(i int) []float64 { return matrix[0][:1+i%30] }, none)
	allocates(t, "along the rows", AggregateAxis(1, Mean[float64]), rows, none)
	allocates(t, "along the columns", AggregateAxis(0, Max[float64]), rows, none)
	allocates(t, "a slice as input", Into("sum", sumInto).With(Computing), func(i int) []int64 { return make([]int64, 4)[: i%4 : 4] }, none)
}

// allocates checks that CallInto with changing inputs and options allocates nothing.
func allocates[I, O any](t *testing.T, name string, m Module[I, O], in func(int) I, opts func(int) []Option) {
	t.Helper()
	e := must(t, m)
	var inputs [64]I // made before
	var options [64][]Option
	for i := range inputs {
		inputs[i], options[i] = in(i), opts(i)
	}
	var out O
	i := 0
	call := func(ctx context.Context) {
		i++
		if err := e.CallInto(ctx, inputs[i%64], &out, options[i%64]...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for range 3 * 64 { // past trials, and slices as large as they get
		call(context.Background())
	}
	http := httpContext(t)
	for kind, ctx := range map[string]context.Context{"the background context": context.Background(), "an http context": http} {
		if n := testing.AllocsPerRun(200, func() { call(ctx) }); n != 0 {
			t.Errorf("%s under %s: %v allocations", name, kind, n)
		}
	}
	made := func(f func(context.Context)) float64 {
		return testing.AllocsPerRun(200, func() {
			ctx, cancel := context.WithCancel(http)
			f(ctx)
			cancel()
		})
	}
	if n, without := made(call), made(func(context.Context) {}); n != without {
		t.Errorf("%s under a context made for it: %v allocations, making it costs %v", name, n, without)
	}
}

// Call costs nothing either if the result holds no slices, and neither do options that are written where
// the call is.
func TestCallAllocatesNothing(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	e := must(t, Sequential(diamond10(), Into("reads", func(ctx context.Context, in int64, out *int64) error {
		*out = in + int64(allocRate.Get(ctx)) + int64(len(kernel.Metadata(ctx, "user")))
		return nil
	}).With(Reads(allocRate, allocOn))).With(Computing))
	for _, ctx := range []context.Context{context.Background(), httpContext(t)} {
		in := int64(0)
		if n := testing.AllocsPerRun(200, func() {
			in++
			v, err := e.Call(ctx, in, Timeout(time.Minute+time.Duration(in)), allocRate.Set(float64(in)), allocOn.Set(in%2 == 0), Metadata("user", "me"))
			if want := 8*(in+2) + in + 2; v != want || err != nil {
				t.Fatalf("got %d, %v, want %d", v, err, want)
			}
		}); n != 0 {
			t.Errorf("%v allocations under %v", n, ctx)
		}
	}
}

// AllocsPerRun runs on one core; two goroutines that call one engine on two cost nothing either.
func TestTwoCallersAllocateNothing(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const calls = 20_000
	e := must(t, diamond10().With(Computing, Timeout(time.Minute)))
	ctx := httpContext(t)
	var begin, done sync.WaitGroup
	start := make(chan struct{})
	for range 2 {
		begin.Add(1)
		done.Go(func() {
			var out int64
			for range 100 { // each makes a Frame of its own
				_ = e.CallInto(ctx, 1, &out)
			}
			begin.Done()
			<-start
			for i := range int64(calls) {
				if err := e.CallInto(ctx, i, &out); err != nil || out != 8*(i+2) {
					t.Errorf("got %d, %v, want %d", out, err, 8*(i+2))
					return
				}
			}
		})
	}
	begin.Wait()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	close(start)
	done.Wait()
	runtime.ReadMemStats(&after)
	// a few are the runtime's, and where two meet in one slot a Frame more is made
	if n := after.Mallocs - before.Mallocs; n > calls/10 {
		t.Errorf("%d allocations in %d calls", n, 2*calls)
	}
}

// Branches that are handed to the crew cost nothing, either. Mallocs counts those of all goroutines, the
// runtime's own as well, which allocates now and then: one measurement of five without any is enough.
func TestSpreadAllocatesNothing(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	const calls = 2000
	reads := Into("reads", func(ctx context.Context, in int64, out *int64) error {
		*out = in + int64(allocRate.Get(ctx)) + int64(len(kernel.Metadata(ctx, "user")))
		return ctx.Err()
	}).With(Reads(allocRate, allocOn))
	list := Into("list", func(_ context.Context, n int64, out *[]int64) error { *out = append((*out)[:0], n, n); return nil })
	for name, m := range map[string]Module[int64, int64]{
		"one after the other": Sequential(Parallel(reads, reads.With(Timeout(time.Hour)), inc(0), chain10()), Into("sum", sumInto)),
		"one in the other":    Sequential(Parallel(Sequential(reads, diamond10()), diamond10()), Into("sum", sumInto)),
		"all wait":            Sequential(Parallel(reads, reads).With(WaitAll), Into("sum", sumInto)),
		"lists": Sequential3(reads, Parallel(list, list), Into("rows", func(_ context.Context, rows [][]int64, out *int64) error {
			*out = rows[0][0] + rows[1][1]
			return nil
		})),
		"beside a delay": Sequential(Parallel(NonBlockingDelay[int64](1), reads, reads), Into("sum", sumInto)),
	} {
		t.Run(name, func(t *testing.T) {
			e := must(t, m.With(Computing), On(withCrew(t, 2)), spreading)
			var out int64
			run := func(ctx context.Context) {
				for i := range int64(calls) {
					if err := e.CallInto(ctx, i, &out, Timeout(time.Minute+time.Duration(i)), allocRate.Set(float64(i)), allocOn.Set(i%2 == 0), Metadata("user", "me")); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, ctx := range []context.Context{context.Background(), httpContext(t)} {
				run(ctx) // its Frame, and what the loops need
				least := ^uint64(0)
				for try := 0; try < 20 && least > 0; try++ {
					var before, after runtime.MemStats
					spread := e.Stats().Spread
					runtime.ReadMemStats(&before)
					run(ctx)
					runtime.ReadMemStats(&after)
					least = min(least, after.Mallocs-before.Mallocs)
					if n := e.Stats().Spread - spread; n < calls || n%calls != 0 {
						t.Errorf("%d Parallels were handed to the crew in %d calls", n, calls)
					}
				}
				// On a busy machine the runtime allocates for goroutines that park, but not in one call of a hundred.
				if least > calls/100 {
					t.Errorf("%d allocations in %d calls under %v", least, calls, ctx)
				}
			}
		})
	}
}

// What the docs say a step on the lane costs.
func TestLaneAllocations(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	e := must(t, inc(0).With(Blocking))
	var out int64
	ctx := httpContext(t)
	if n := testing.AllocsPerRun(200, func() { _ = e.CallInto(ctx, 1, &out) }); n > 4 {
		t.Errorf("a step on the lane costs %v allocations, CallInto says four", n)
	}
}

// A graph that no generic call made is as free.
func TestUntypedZeroAllocations(t *testing.T) {
	if invariants.On {
		t.Skip("invariants allocate")
	}
	step, in := inc(0).Node(), inc(0).Node().In
	root := &graph.Node{Kind: graph.Sequential, In: in, Out: in, Kids: []*graph.Node{step, step, step}}
	m, err := FromNode[int64, int64](root)
	if err != nil {
		t.Fatal(err)
	}
	allocates(t, "from nodes", m.With(Computing), func(i int) int64 { return int64(i) }, func(int) []Option { return nil })
}
