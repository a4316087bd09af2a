package layers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
	"weak"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

type batch struct {
	Rows  [][]float64
	Names []string
	Tags  [2][]int
	when  time.Time
	total float64
}

// fillRows, fillBatch and fillInts fill engine memory with values that tell the call.
func fillInts(_ context.Context, n int, out *[]int) error {
	*out = (*out)[:0]
	for i := range 3 + n%5 {
		*out = append(*out, 1000*n+i)
	}
	return nil
}

func fillRows(_ context.Context, n int, out *[][]float64) error {
	rows := *out
	rows = rows[:cap(rows)] // earlier rows and their memory
	for len(rows) < 4 {
		rows = append(rows, nil)
	}
	rows = rows[:1+n%4]
	for i := range rows {
		rows[i] = append(rows[i][:0], float64(n), float64(i))
	}
	*out = rows
	return nil
}

func fillBatch(c context.Context, n int, out *batch) error {
	out.Names = append(out.Names[:0], fmt.Sprint("name", n), "b")
	for i := range out.Tags {
		out.Tags[i] = append(out.Tags[i][:0], n, i)
	}
	out.when, out.total = time.Unix(int64(n), 0), float64(n)
	return fillRows(c, n, &out.Rows)
}

// sharesNothing calls m many times and checks that no result is touched by another call, nor another call
// by what is written to a result.
func sharesNothing[O any](t *testing.T, name string, m Module[int, O], spoil func(*O)) {
	t.Helper()
	for _, mark := range []Option{{}, Computing, Blocking} {
		e := must(t, m.With(mark))
		var results, wants [40]O
		for i := range results {
			var err error
			if results[i], err = e.Call(t.Context(), i); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			fresh, err := must(t, m).Call(t.Context(), i)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			wants[i] = fresh
			if i%3 == 0 {
				spoil(&results[i])
			}
		}
		for i := range results {
			if i%3 != 0 && !reflect.DeepEqual(results[i], wants[i]) {
				t.Errorf("%s: result %d is now %v, was %v\n%s", name, i, results[i], wants[i], e.Explain())
			}
		}
	}
}

func TestResultsShareNothing(t *testing.T) {
	ints, rows, batches := Into("ints", fillInts), Into("rows", fillRows), Into("batch", fillBatch)
	spoilInts := func(v *[]int) { clear((*v)[:cap(*v)]) }
	spoilRows := func(v *[][]float64) {
		for _, r := range *v {
			clear(r[:cap(r)])
		}
	}
	odd := func(_ context.Context, n int) (bool, error) { return n%2 == 1, nil }
	sharesNothing(t, "a slice", ints, spoilInts)
	sharesNothing(t, "rows", rows, spoilRows)
	sharesNothing(t, "a struct", batches, func(b *batch) { spoilRows(&b.Rows); clear(b.Names); clear(b.Tags[0]) })
	sharesNothing(t, "an array", Sequential(batches, Plain("tags", func(b batch) ([2][]int, error) { return b.Tags, nil })),
		func(v *[2][]int) { clear(v[1]) })
	sharesNothing(t, "part of it", Sequential(ints, Plain("part", func(v []int) ([]int, error) { return v[1:], nil })), spoilInts)
	sharesNothing(t, "a struct round it", Sequential(ints, Plain("wrap", func(v []int) (Pair[string, []int], error) {
		return Pair[string, []int]{"v", v}, nil
	})), func(p *Pair[string, []int]) { spoilInts(&p.Second) })
	sharesNothing(t, "after a delay", Sequential(ints, BlockingDelay[[]int](1)), spoilInts)
	sharesNothing(t, "gathered", Parallel(ints, ints, ints), func(v *[][]int) { clear((*v)[1]); clear(*v) })
	sharesNothing(t, "gathered numbers", Parallel(plus(1), plus(2)), spoilInts)
	sharesNothing(t, "gathered and passed on", Sequential(Parallel(plus(1), plus(2)), Plain("same", same[[]int])), spoilInts)
	sharesNothing(t, "gathered twice", Parallel(Parallel(ints, ints), Parallel(ints)), func(v *[][][]int) { clear((*v)[0][0]) })
	sharesNothing(t, "mixed with what a Func returns", Parallel(ints, Plain("func", func(n int) ([]int, error) { return []int{n}, nil })),
		func(v *[][]int) { clear((*v)[0]); clear((*v)[1]) })
	sharesNothing(t, "both", Both(rows, ints), func(p *Pair[[][]float64, []int]) { spoilRows(&p.First); clear(p.Second) })
	sharesNothing(t, "a branch", Conditional(odd, ints, Plain("func", func(n int) ([]int, error) { return []int{n}, nil })), spoilInts)
	sharesNothing(t, "two branches", Conditional(odd, ints, ints), spoilInts)
	sharesNothing(t, "gathered branches", Parallel(Conditional(odd, ints, ints), ints), func(v *[][]int) { clear((*v)[0]) })
	sharesNothing(t, "Concat", Sequential(Parallel(ints, ints), Aggregate(Concat[int])), spoilInts)
	sharesNothing(t, "axis", Sequential(Parallel(Into("row", func(_ context.Context, n int, out *[]int) error {
		*out = append((*out)[:0], n, n+1)
		return nil
	})), AggregateAxis(0, Sum[int])), spoilInts)
}

// What a Func returns is handed on as it is, and left alone afterwards.
func TestFuncResultsAreTheReceivers(t *testing.T) {
	var made [][]string
	list := Plain("list", func(n int) ([]string, error) {
		v := []string{fmt.Sprint(n)}
		made = append(made, v)
		return v, nil
	}).With(Computing)
	for name, m := range map[string]Module[int, []string]{
		"alone":    list,
		"in a row": Sequential(plus(0).With(Computing), Sequential(list, Plain("same", same[[]string]).With(Computing))),
		"branch":   Conditional(func(context.Context, int) (bool, error) { return true, nil }, list, list).With(Computing),
		"gathered": Sequential(Parallel(list, list), Plain("second", func(v [][]string) ([]string, error) { return v[1], nil }).With(Computing, Fresh)),
	} {
		made = nil
		e := must(t, m)
		for i := range 20 {
			got, err := e.Call(t.Context(), i)
			if last := made[len(made)-1]; err != nil || &got[0] != &last[0] {
				t.Errorf("%s: call %d returned a copy, or %v", name, i, err)
			}
		}
		for _, v := range made {
			if v[0] == "" {
				t.Errorf("%s: the engine cleared what a Func had returned", name)
			}
		}
	}
}

type cell struct {
	Number  int
	Text    string
	Pointer *int
	Any     any
	Func    func()
	Map     map[string]int
	Rows    [][]string
	Array   [2][]byte
	Cells   []cell
}

// Between calls an Into cell keeps its slices at every depth, up to 1 MiB, and nothing else that holds
// a pointer.
func TestIntoCellsAreReused(t *testing.T) {
	if invariants.On {
		t.Skip("invariants keep nothing")
	}
	clean := func(c *cell) bool {
		return c.Text == "" && c.Pointer == nil && c.Any == nil && c.Func == nil && c.Map == nil
	}
	arrived := 0
	step := Into("step", func(_ context.Context, n int, c *cell) error {
		if !clean(c) {
			t.Errorf("call %d finds %+v", n, c)
		}
		if cap(c.Rows) > 0 { // a Frame that was used before: the next call need not find the same
			arrived++
			if cap(c.Rows) != 4 || cap(c.Rows[:3][2]) < 8 || cap(c.Array[1]) != 64 || cap(c.Cells) != 2 || cap(c.Cells[:2][1].Rows) != 5 {
				t.Errorf("call %d finds slices of other capacities: %d, %d, %d, %d", n, cap(c.Rows), cap(c.Array[1]), cap(c.Cells), cap(c.Cells[:2][1].Rows))
			}
			for _, row := range c.Rows[:3] {
				for _, s := range row[:8] {
					if s != "" {
						t.Errorf("call %d finds the text %q", n, s)
					}
				}
			}
			for i := range c.Cells[:2] {
				if !clean(&c.Cells[:2][i]) {
					t.Errorf("call %d finds a cell with %+v", n, c.Cells[:2][i])
				}
			}
		} else {
			c.Rows = make([][]string, 3, 4)
			for i := range c.Rows {
				c.Rows[i] = make([]string, 8)
			}
			c.Array[1] = make([]byte, 64)
			c.Cells = make([]cell, 2)
			c.Cells[1].Rows = make([][]string, 2, 5)
		}
		c.Number, c.Text, c.Pointer, c.Any, c.Func, c.Map = n, "t", &n, n, func() {}, map[string]int{"a": n}
		c.Rows = c.Rows[:3]
		for i := range c.Rows {
			c.Rows[i] = c.Rows[i][:8]
			c.Rows[i][7] = "s"
		}
		c.Cells = c.Cells[:2]
		for i := range c.Cells {
			c.Cells[i].Text, c.Cells[i].Any = "t", "a"
		}
		return nil
	})
	e := must(t, Sequential(step, Plain("text", func(c cell) (string, error) { return c.Text, nil })).With(Computing))
	for i := range 200 {
		if v, err := e.Call(t.Context(), i); v != "t" || err != nil {
			t.Fatal(v, err)
		}
	}
	if arrived < 100 {
		t.Errorf("%d calls of 200 had the memory of an earlier one", arrived)
	}
}

func TestIntoCellsGiveUpWhatIsLarge(t *testing.T) {
	for _, c := range []struct {
		bytes int
		keeps bool
	}{{1 << 20, !invariants.On}, {1<<20 + 8, false}} {
		found := 0
		e := must(t, Sequential(Into("step", func(_ context.Context, n int, out *[]int64) error {
			if cap(*out) > 0 {
				found++
			}
			*out = make([]int64, c.bytes/8)
			return nil
		}), Plain("len", func(v []int64) (int, error) { return len(v), nil })).With(Computing))
		for range 50 {
			if _, err := e.Call(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		if keeps := found > 0; keeps != c.keeps {
			t.Errorf("an array of %d bytes was kept %d times of 49, want some: %v", c.bytes, found, c.keeps)
		}
	}
}

// CallInto uses the slices that *out holds, also those inside, and leaves *out alone on an error.
func TestCallIntoReuses(t *testing.T) {
	e := must(t, Into("batch", func(c context.Context, n int, out *batch) error {
		if n < 0 {
			_ = fillBatch(c, 3, out)
			return errBoom
		}
		return fillBatch(c, n, out)
	}).With(Computing))
	out := batch{Rows: make([][]float64, 4), Names: make([]string, 0, 2)}
	for i := range out.Rows {
		out.Rows[i] = make([]float64, 0, 2)
	}
	for i := range out.Tags {
		out.Tags[i] = make([]int, 5, 9)
	}
	at := [...]unsafe.Pointer{unsafe.Pointer(unsafe.SliceData(out.Rows)), unsafe.Pointer(unsafe.SliceData(out.Rows[0])),
		unsafe.Pointer(unsafe.SliceData(out.Names)), unsafe.Pointer(unsafe.SliceData(out.Tags[1]))}
	for i := range 20 {
		if err := e.CallInto(t.Context(), i, &out); err != nil {
			t.Fatal(err)
		}
		want, err := e.Call(t.Context(), i)
		if err != nil || !reflect.DeepEqual(out, want) {
			t.Fatalf("CallInto gives %v, Call %v, %v", out, want, err)
		}
		now := [...]unsafe.Pointer{unsafe.Pointer(unsafe.SliceData(out.Rows)), unsafe.Pointer(unsafe.SliceData(out.Rows[0])),
			unsafe.Pointer(unsafe.SliceData(out.Names)), unsafe.Pointer(unsafe.SliceData(out.Tags[1]))}
		if now != at {
			t.Fatalf("call %d put the result elsewhere", i)
		}
		if err := e.CallInto(t.Context(), -1, &out); !errors.Is(err, errBoom) || !reflect.DeepEqual(out, want) {
			t.Fatalf("an error (%v) left %v, was %v", err, out, want)
		}
	}
	short := batch{Names: make([]string, 1)} // what is too small is replaced
	if err := e.CallInto(t.Context(), 7, &short); err != nil || len(short.Names) != 2 || short.Names[0] != "name7" {
		t.Error(short, err)
	}
	nothing := must(t, Into("nothing", func(_ context.Context, n int, out *[]int) error { *out = []int{}[:0:0]; return nil }))
	if v, err := nothing.Call(t.Context(), 1); v == nil || len(v) != 0 || err != nil {
		t.Errorf("an empty slice became %#v, %v", v, err)
	}
	null := must(t, Into("nil", func(_ context.Context, n int, out *[]int) error { *out = nil; return nil }))
	if v, err := null.Call(t.Context(), 1); v != nil || err != nil {
		t.Errorf("nil became %#v, %v", v, err)
	}
}

type (
	copied struct {
		Any  any
		from string
	}
	uncopied struct{ Any any }
)

func (c *copied) CopyTo(dst *copied) { dst.Any, dst.from = fmt.Sprint(c.Any), "CopyTo" }

// An output that may point into engine memory, by its type, and that cannot be copied is refused with the
// step's name; Fresh says that it does not.
func TestUncopyable(t *testing.T) {
	ints := Into("ints", fillInts)
	refused := func(name string, m interface{ Node() *graph.Node }, path string) {
		t.Helper()
		var bad *graph.CompileError
		_, err := graph.Compile(m.Node())
		if !errors.As(err, &bad) || bad.Path != path || !strings.Contains(err.Error(), "Fresh") {
			t.Errorf("%s: got %v, want an error at %s that speaks of Fresh", name, err, path)
		}
	}
	taken := func(name string, m interface{ Node() *graph.Node }) {
		t.Helper()
		if _, err := graph.Compile(m.Node()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	asAny := Plain("any", func(v []int) (any, error) { return v, nil })
	asMap := Plain("map", func(v []int) (map[string][]int, error) { return map[string][]int{"v": v}, nil })
	asPointer := Plain("pointer", func(v []int) (*int, error) { return &v[0], nil })
	asFunc := Plain("func", func(v []int) (func() int, error) { return func() int { return v[0] }, nil })
	asChan := Plain("chan", func(v []int) (chan []int, error) { return nil, nil })
	asStruct := Plain("struct", func(v []int) (uncopied, error) { return uncopied{v}, nil })
	asErrors := Plain("errors", func(v []int) ([]error, error) { return nil, nil })
	refused("any", Sequential(ints, asAny), "any")
	refused("map", Sequential(ints, asMap), "map")
	refused("pointer", Sequential(ints, asPointer), "pointer")
	refused("func", Sequential(ints, asFunc), "func")
	refused("chan", Sequential(ints, asChan), "chan")
	refused("struct", Sequential(ints, asStruct), "struct")
	refused("errors", Sequential(ints, asErrors), "errors")
	refused("an Into step", Sequential(ints, Into("best", func(_ context.Context, in []int, out **int) error { return nil })), "best")
	refused("in a branch", Conditional(func(context.Context, int) (bool, error) { return true, nil }, Sequential(ints, asAny),
		Plain("other", func(int) (any, error) { return nil, nil })), "conditional[then]/any")
	refused("gathered", Parallel(Sequential(ints, asAny), Plain("other", func(int) (any, error) { return nil, nil })), "parallel[0]/any")
	refused("both", Both(ints, Sequential(ints, asAny)), "both[1]/any")
	refused("later", Sequential3(ints, asAny, Plain("same", same[any])), "same")
	refused("after a delay", Sequential3(ints, BlockingDelay[[]int](1), asAny), "any")
	refused("what a Parallel gathered", Sequential(Parallel(plus(1), plus(2)), asAny), "any")

	taken("Fresh", Sequential(ints, asAny.With(Fresh)))
	taken("Fresh, gathered", Parallel(Sequential(ints, asAny.With(Fresh))))
	taken("Fresh in between", Sequential3(ints, Plain("len", func(v []int) (int, error) { return len(v), nil }), Plain("any", func(n int) (any, error) { return n, nil })))
	taken("no engine memory", Sequential(Plain("list", func(n int) ([]int, error) { return nil, nil }), asAny))
	taken("strings only", Sequential(Into("s", func(_ context.Context, n int, out *string) error { return nil }), Plain("any", func(s string) (any, error) { return s, nil })))
	taken("a map of numbers", Sequential(ints, Plain("map", func(v []int) (map[string]int, error) { return nil, nil })))
	taken("a pointer to something else", Sequential(ints, Plain("p", func(v []int) (*string, error) { return nil, nil })))
	taken("pointers gathered", Parallel(Plain("p", func(int) (*batch, error) { return nil, nil })))
	taken("maps gathered", Parallel(Plain("m", func(int) (map[string]any, error) { return nil, nil })))
	taken("anything gathered", Parallel(Plain("a", func(int) (any, error) { return nil, nil })))
	taken("beside engine memory", Both(ints, Plain("a", func(int) (any, error) { return nil, nil })))
	taken("pointers of an Into step", Into("p", func(_ context.Context, n int, out *[]*batch) error { return nil }))
	taken("errors of an Into step", Into("e", func(_ context.Context, n int, out *[]struct{ Err error }) error { return nil }))
	taken("a map of an Into step", Into("m", func(_ context.Context, n int, out *map[string][]int) error { return nil }))
	taken("CopyTo", Sequential(ints, Plain("copied", func(v []int) (copied, error) { return copied{Any: v}, nil })))

	e := must(t, Sequential(ints, Plain("copied", func(v []int) (copied, error) { return copied{Any: v}, nil })))
	if v, err := e.Call(t.Context(), 5); err != nil || v.from != "CopyTo" || v.Any != "[5000 5001 5002]" {
		t.Errorf("CopyTo was not used: %v, %v", v, err)
	}
}

type explosive struct{ v []int }

func (e *explosive) CopyTo(dst *explosive) {
	if e.v[0] < 0 {
		panic("no copy")
	}
	dst.v = append(dst.v[:0], e.v...)
}

// A panic in a CopyTo is the call's error.
func TestCopyToPanics(t *testing.T) {
	out := must(t, Into("out", func(_ context.Context, n int, out *explosive) error { out.v = append(out.v[:0], n); return nil }))
	in := must(t, Plain("in", func(e explosive) (int, error) { return e.v[0], nil }).With(Blocking))
	for range 40 {
		var crash *kernel.PanicError
		v := explosive{[]int{7}}
		if err := out.CallInto(t.Context(), -1, &v); !errors.As(err, &crash) || !strings.Contains(string(crash.Stack), "CopyTo") || v.v[0] != 7 {
			t.Fatalf("got %v, *out is %v", err, v)
		}
		if err := out.CallInto(t.Context(), 1, &v); err != nil || v.v[0] != 1 {
			t.Fatal(v, err)
		}
		if _, err := in.Call(t.Context(), explosive{[]int{-1}}); !errors.As(err, &crash) {
			t.Fatalf("got %v", err)
		}
	}
	for _, st := range []Stats{out.Stats(), in.Stats()} {
		if st.Inside != 0 {
			t.Errorf("%+v", st)
		}
	}
}

type request struct {
	IDs   []int
	Rows  [2][][]string
	When  time.Time
	Extra map[string]int
	any   any
}

// While some step may run on the lane, the input's slices are copied: the caller may write to its own as
// soon as it is back.
func TestInputIsCopiedForTheLane(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		var seen request
		late := func(name string) Module[request, int] {
			return Plain(name, func(r request) (int, error) { time.Sleep(time.Second); seen = r; return 0, nil })
		}
		for name, m := range map[string]Module[request, int]{
			"blocking":   late("late").With(Blocking),
			"undeclared": late("late"),
			"second":     Sequential(Plain("first", same[request]), late("late").With(Blocking)),
		} {
			e := must(t, m, On(s))
			in := request{IDs: []int{1, 2}, Rows: [2][][]string{{{"a"}, {"b", "c"}}, nil}, When: time.Now(), Extra: map[string]int{"k": 1}, any: 5}
			want := request{IDs: []int{1, 2}, Rows: [2][][]string{{{"a"}, {"b", "c"}}, nil}, When: time.Now(), Extra: in.Extra, any: 5}
			if _, err := e.Call(t.Context(), in, Timeout(ms)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(name, err)
			}
			in.IDs[0], in.Rows[0][1][0] = 9, "overwritten"
			in.Rows[0][0] = nil
			time.Sleep(time.Second)
			synctest.Wait()
			if !reflect.DeepEqual(seen, want) {
				t.Errorf("%s: the abandoned run read %v, want %v", name, seen, want)
			}
		}
		// What cannot be copied is shared, whatever is round it.
		for range 3 {
			p := &batch{}
			list := must(t, Plain("p", func(v []*batch) (*batch, error) { return v[1], nil }).With(Blocking), On(s))
			if v, err := list.Call(t.Context(), []*batch{nil, p}); v != p || err != nil {
				t.Errorf("a pointer in a slice became %p, %v, was %p", v, err, p)
			}
			anys := must(t, Plain("a", func(v []any) (any, error) { return v[0], nil }).With(Blocking), On(s))
			if v, err := anys.Call(t.Context(), []any{"x", p}); v != "x" || err != nil {
				t.Error(v, err)
			}
		}
	})
}

// Without a step on the lane the input is not copied, and with one the result may be part of it.
func TestInputIsPassedOn(t *testing.T) {
	in := []int{1, 2, 3}
	for _, c := range []struct {
		mark Option
		same bool
	}{{Computing, true}, {Blocking, false}} {
		e := must(t, Plain("tail", func(v []int) ([]int, error) { return v[1:], nil }).With(c.mark))
		v, err := e.Call(t.Context(), in)
		if err != nil || !reflect.DeepEqual(v, []int{2, 3}) || (&v[0] == &in[1]) != c.same {
			t.Errorf("%v: %v, %v", c.mark, v, err)
		}
		if w, err := e.Call(t.Context(), in); err != nil || !c.same && &w[0] == &v[0] {
			t.Errorf("%v: two results share memory, or %v", c.mark, err)
		}
	}
}

// The Frames of a burst serve the next one. When the garbage collector has come twice, a bounded number
// is left.
func TestFreeFramesAreBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const burst = 200
	most := max(16, 4*runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	cells := map[*[]int]int{} // keeps them from being used again by somebody else
	var inside sync.WaitGroup
	e := must(t, Sequential(Into("step", func(_ context.Context, n int, out *[]int) error {
		mu.Lock()
		cells[out]++
		mu.Unlock()
		inside.Done()
		inside.Wait() // until all are there
		return nil
	}), Plain("len", func(v []int) (int, error) { return len(v), nil })).With(Computing))
	again := func() int { // Frames that are used again
		before := len(cells)
		inside.Add(burst)
		var calls sync.WaitGroup
		for range burst {
			calls.Go(func() { _, _ = e.Call(t.Context(), 1) })
		}
		calls.Wait()
		return burst - (len(cells) - before)
	}
	if n := again(); n != 0 {
		t.Errorf("%d Frames serve two calls at once", n)
	}
	if n := again(); n <= most {
		t.Errorf("%d of %d Frames were used again, want more than the %d of the engine", n, burst, most)
	}
	runtime.GC()
	runtime.GC()
	if n := again(); n == 0 || n > most {
		t.Errorf("%d of %d Frames were used again after two collections, want some, at most %d", n, burst, most)
	}
	if st := e.Stats(); st.Calls != 3*burst || st.Inside != 0 {
		t.Errorf("%+v", st)
	}
}

// A Frame under an abandoned run is never used again.
func TestAbandonedFramesAreNotReused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *sched.Sched) {
		cells := map[*[]int]bool{}
		var mu sync.Mutex
		e := must(t, Into("step", func(ctx context.Context, n int, out *[]int) error {
			mu.Lock()
			if cells[out] {
				t.Error("an abandoned run's memory was used again")
			}
			cells[out] = n > 0
			mu.Unlock()
			if n > 0 {
				time.Sleep(time.Second)
				*out = append(*out, n) // must disturb nobody
			} else {
				*out = append((*out)[:0], 1, 2)
			}
			return nil
		}).With(Blocking), On(s))
		for i := range 50 {
			if _, err := e.Call(t.Context(), i%2, Timeout(ms)); (err != nil) != (i%2 == 1) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
	})
}

// The engine keeps nothing of a call that is over from being collected.
func TestNothingIsKeptAlive(t *testing.T) {
	type big [1000]int
	var gone []weak.Pointer[big]
	track := func() *big {
		b := new(big)
		gone = append(gone, weak.Make(b))
		return b
	}
	e := must(t, Sequential4(Plain("input", func(b *big) (*big, error) { return track(), nil }),
		Into("cell", func(_ context.Context, _ *big, out *[]*big) error {
			*out = append((*out)[:0], track(), track())
			return nil
		}),
		Parallel(Plain("gathered", func([]*big) (any, error) { return track(), nil }), Plain("too", func(v []*big) (any, error) { return v[0], nil }).With(Fresh)),
		Plain("output", func([]any) (*big, error) { return track(), nil }).With(Fresh)))
	for range 20 {
		ctx := context.WithValue(t.Context(), ctxKey{}, track())
		if _, err := e.Call(ctx, track(), Auth(track())); err != nil {
			t.Fatal(err)
		}
	}
	copies := must(t, Into("copied", func(_ context.Context, _ int, out *[]*big) error {
		*out = append((*out)[:0], track())
		return nil
	}))
	for i := range 20 {
		if v, err := copies.Call(t.Context(), i); err != nil || v[0] != gone[len(gone)-1].Value() {
			t.Fatal(v, err)
		}
	}
	runtime.GC()
	runtime.GC()
	kept := 0
	for _, p := range gone {
		if p.Value() != nil {
			kept++
		}
	}
	if kept > 0 {
		t.Errorf("the engine keeps %d of %d values alive", kept, len(gone))
	}
	runtime.KeepAlive(e)
	runtime.KeepAlive(copies)
}
