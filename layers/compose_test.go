package layers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/kernel"
)

// values compiles m and checks what it returns, on the lane and past the trial of undeclared steps, with
// Call and CallInto, under a context that can be cancelled and without a deadline.
func values[I, O any](t *testing.T, name string, m Module[I, O], in I, want O) {
	t.Helper()
	e, err := Compile(m)
	if err != nil {
		t.Errorf("%s: Compile: %v", name, err)
		return
	}
	var out O
	for i := range 40 {
		ctx, opts := context.Background(), []Option(nil)
		if i%3 == 1 {
			ctx = t.Context()
		}
		if i%3 == 2 {
			opts = []Option{Timeout(time.Hour)}
		}
		got, err := e.Call(ctx, in, opts...)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, call %d: got %v, %v, want %v\n%s", name, i, got, err, want, e.Explain())
			return
		}
		if err := e.CallInto(ctx, in, &out, opts...); err != nil || !reflect.DeepEqual(out, want) {
			t.Errorf("%s, CallInto %d: got %v, %v, want %v\n%s", name, i, out, err, want, e.Explain())
			return
		}
	}
	if err := e.Close(); err != nil {
		t.Errorf("%s: Close: %v", name, err)
	}
}

// failsAt calls e and checks that the error wraps is and names path.
func failsAt[I, O any](t *testing.T, name string, m Module[I, O], in I, is error, path string) {
	t.Helper()
	e := must(t, m)
	for i := range 40 {
		_, err := e.Call(t.Context(), in)
		var step *kernel.StepError
		if !errors.Is(err, is) || !errors.As(err, &step) || step.Path != path {
			t.Errorf("%s, call %d: got %v, want %v at %s", name, i, err, is, path)
			return
		}
	}
}

func plus(n int) Module[int, int] {
	return Plain(fmt.Sprint("plus", n), func(i int) (int, error) { return i + n, nil })
}

func text(format string) Module[int, string] {
	return Plain("text", func(i int) (string, error) { return fmt.Sprintf(format, i), nil })
}

// same is a step that passes its input on.
func same[T any](v T) (T, error) { return v, nil }

type doubler struct{ times int }

func (d doubler) Forward(_ context.Context, in int) (int, error) { return in * d.times, nil }

type (
	tree struct {
		v    int
		Kids []tree
	}
	hidden struct {
		n    int
		s    string
		p    *int
		m    map[string]int
		next *hidden
	}
	large struct {
		words [4096]int64
		name  string
	}
	celsius float64
	stop    string
)

func (s stop) Error() string { return string(s) }

func TestSequentials(t *testing.T) {
	p := plus(1)
	values(t, "2", Sequential(p, text("<%d>")), 1, "<2>")
	values(t, "3", Sequential3(p, p, text("<%d>")), 1, "<3>")
	values(t, "4", Sequential4(p, p, p, text("<%d>")), 1, "<4>")
	values(t, "5", Sequential5(p, p, p, p, text("<%d>")), 1, "<5>")
	values(t, "6", Sequential6(p, p, p, p, p, text("<%d>")), 1, "<6>")
	m := p
	for range 200 {
		m = Sequential(m, p)
	}
	values(t, "nested to the left", m, 1, 202)
	m = p
	for range 200 {
		m = Sequential(p, m)
	}
	values(t, "nested to the right", m, 1, 202)
	for range 6 {
		m = Sequential(m, m)
	}
	values(t, "one Module many times", m, 0, 201*64)
	// each step does something else, so that an exchange of two shows
	order := Sequential6(text("%d"), letter("a"), letter("b"), Sequential(letter("c"), letter("d")), letter("e"), letter("f"))
	values(t, "order", order, 7, "7abcdef")
}

func letter(l string) Module[string, string] {
	return Plain(l, func(s string) (string, error) { return s + l, nil })
}

func TestParallels(t *testing.T) {
	var modules []Module[int, string]
	var want []string
	for i := range 100 {
		modules = append(modules, Sequential(plus(i), text("%d")))
		want = append(want, fmt.Sprint(i+5))
	}
	values(t, "order of 100", Parallel(modules...), 5, want)
	values(t, "one", Parallel(plus(1)), 1, []int{2})
	m := plus(1)
	values(t, "a Module twice", Sequential(m, Parallel(m, m, Sequential(m, m))), 1, []int{3, 3, 4})
	values(t, "nested", Parallel(Parallel(text("a%d"), text("b%d")), Parallel(text("c%d"))), 1, [][]string{{"a1", "b1"}, {"c1"}})
	values(t, "nested thrice", Parallel(Parallel(Parallel(plus(1), plus(2)), Parallel(plus(3)))), 1, [][][]int{{{2, 3}, {4}}})
	values(t, "with a delay", Parallel(Sequential(BlockingDelay[int](time.Nanosecond), plus(1)), plus(2)), 1, []int{2, 3})

	n := 1
	values(t, "pointers", Parallel(Plain("p", func(i int) (*int, error) { return &n, nil }), Into("q", func(_ context.Context, _ int, p **int) error { *p = &n; return nil })), 1, []*int{&n, &n})
	kv := map[string]int{"a": 1}
	values(t, "maps", Parallel(Plain("m", func(int) (map[string]int, error) { return kv, nil }), Plain("nil", func(int) (map[string]int, error) { return nil, nil })), 1, []map[string]int{kv, nil})
	values(t, "errors", Parallel(Plain("e", func(int) (error, error) { return stop("x"), nil }), Plain("nil", func(int) (error, error) { return nil, nil })), 1, []error{stop("x"), nil})
	values(t, "any", Parallel(Plain("a", func(i int) (any, error) { return i, nil }), Plain("b", func(int) (any, error) { return []string{"b"}, nil })), 1, []any{1, []string{"b"}})
	values(t, "any, nested", Parallel(Parallel(Plain("a", func(i int) (any, error) { return i, nil }))), 1, [][]any{{1}})
	values(t, "errors in a Both", Both(Parallel(Plain("e", func(int) (error, error) { return stop("x"), nil })), plus(1)), 1, Pair[[]error, int]{[]error{stop("x")}, 2})
	values(t, "no size", Parallel(Plain("z", func(int) (struct{}, error) { return struct{}{}, nil }), Into("z", func(context.Context, int, *struct{}) error { return nil })), 1, make([]struct{}, 2))
	values(t, "large", Parallel(Into("l", fillLarge), Into("l", fillLarge)), 3, []large{makeLarge(3), makeLarge(3)})

	failsAt(t, "error of a branch", Parallel(plus(1), Sequential(plus(1), Plain("bad", func(int) (int, error) { return 0, stop("x") }))), 1, stop("x"), "parallel[1]/bad")
}

func makeLarge(n int) (l large) {
	for i := range l.words {
		l.words[i] = int64(i * n)
	}
	l.name = fmt.Sprint(n)
	return l
}

func fillLarge(_ context.Context, n int, out *large) error { *out = makeLarge(n); return nil }

func TestBoths(t *testing.T) {
	values(t, "flat", Both(plus(1), plus(2)), 1, Pair[int, int]{2, 3})
	values(t, "mixed", Both(plus(1), text("%d")), 1, Pair[int, string]{2, "1"})
	values(t, "of composites", Both(Parallel(plus(1), plus(2)), Both(text("a%d"), text("b%d"))), 1, Pair[[]int, Pair[string, string]]{[]int{2, 3}, Pair[string, string]{"a1", "b1"}})
	values(t, "in a Parallel", Parallel(Both(plus(1), text("%d")), Both(plus(2), text("%d"))), 1, []Pair[int, string]{{2, "1"}, {3, "1"}})
	values(t, "padding", Both(Plain("b", func(i int) (bool, error) { return i == 1, nil }), Plain("c", func(i int) (complex128, error) { return complex(float64(i), 1), nil })), 1, Pair[bool, complex128]{true, 1 + 1i})
	values(t, "no size", Both(Plain("z", func(int) (struct{}, error) { return struct{}{}, nil }), plus(1)), 1, Pair[struct{}, int]{struct{}{}, 2})
	failsAt(t, "error", Both(plus(1), Plain("bad", func(int) (string, error) { return "", stop("x") })), 1, stop("x"), "both[1]/bad")
}

func TestConditionals(t *testing.T) {
	even := func(_ context.Context, i int) (bool, error) {
		if i < 0 {
			return false, stop("negative")
		}
		return i%2 == 0, nil
	}
	m := Conditional(even, text("even %d"), text("odd %d"))
	values(t, "then", m, 2, "even 2")
	values(t, "else", m, 3, "odd 3")
	values(t, "in a Sequential", Sequential(plus(1), m), 2, "odd 3")
	nested := Conditional(even, Conditional(even, plus(100), plus(200)), Sequential(plus(1), Conditional(even, plus(300), plus(400))))
	values(t, "nested, then", nested, 2, 102)
	values(t, "nested, else", nested, 3, 304)
	values(t, "of Parallels", Conditional(even, Parallel(plus(1), plus(2)), Parallel(plus(3))), 1, []int{4})
	values(t, "in a Parallel", Parallel(m, Sequential(plus(1), m)), 1, []string{"odd 1", "even 2"})
	failsAt(t, "predicate", m, -1, stop("negative"), "conditional/predicate")
	failsAt(t, "else", Conditional(even, plus(1), Plain("bad", func(int) (int, error) { return 0, stop("x") })), 1, stop("x"), "conditional[else]/bad")

	limited := Conditional(func(ctx context.Context, want string) (bool, error) {
		_, ok := ctx.Deadline()
		return ok && kernel.Metadata(ctx, "branch") == want, nil
	}, Plain("then", func(string) (int, error) { return 1, nil }), Plain("else", func(string) (int, error) { return 2, nil }))
	e := must(t, limited.With(Metadata("branch", "b")))
	for range 40 {
		if v, err := e.Call(t.Context(), "b", Timeout(time.Hour)); v != 1 || err != nil {
			t.Fatalf("the predicate's ctx has no deadline or no metadata: %v, %v", v, err)
		}
	}
}

// Strings in engine memory and strings of a Func share one output: one must never be seen, or cleared,
// through the other.
func TestConditionalKeepsBranchesApart(t *testing.T) {
	kept := []string{"mine", "too"} // what a Func returns stays its owner's
	m := Conditional(func(_ context.Context, i int) (bool, error) { return i%3 == 0, nil },
		Into("into", func(_ context.Context, i int, out *[]string) error {
			for _, old := range (*out)[:cap(*out)] {
				if old != "" {
					return fmt.Errorf("found %q in engine memory", old)
				}
			}
			*out = append((*out)[:0], fmt.Sprint("i", i))
			return nil
		}),
		Conditional(func(_ context.Context, i int) (bool, error) { return i%3 == 1, nil },
			Plain("func", func(int) ([]string, error) { return kept, nil }),
			Plain("nil", func(int) ([]string, error) { return nil, nil })))
	e := must(t, m)
	var results [][]string
	for i := range 120 {
		got, err := e.Call(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, got)
	}
	for i, got := range results {
		want := [][]string{{fmt.Sprint("i", i)}, {"mine", "too"}, nil}[i%3]
		if !reflect.DeepEqual(got, want) {
			t.Errorf("call %d: %q, want %q", i, got, want)
		}
	}
	if kept[0] != "mine" || kept[1] != "too" {
		t.Errorf("the engine wrote to what a Func returned: %q", kept)
	}
}

func TestStepTypes(t *testing.T) {
	n, v := 1, hidden{n: 1, s: "s", m: map[string]int{"k": 1}}
	v.p, v.next = &n, &v
	deep := tree{1, []tree{{2, nil}, {3, []tree{{4, []tree{}}}}}}
	passes(t, "no size", struct{}{})
	passes(t, "empty array", [0]*int{})
	passes(t, "recursive", deep)
	passes(t, "unexported fields", v)
	passes(t, "pointer", &v)
	passes(t, "nil pointer", (*hidden)(nil))
	passes(t, "map", map[string][]int{"a": {1}})
	passes(t, "array", [3][]string{{"a"}, nil, {}})
	passes(t, "large", makeLarge(2))
	passes(t, "any", any([]int{1}))
	passes(t, "nil any", any(nil))
	passes(t, "error", error(stop("x")))
	passes(t, "Stringer", fmt.Stringer(time.Second))
	passes(t, "channel", make(chan int))
	passes(t, "time", time.Unix(1, 2))
	passes(t, "named", celsius(1.5))
	passes(t, "bytes", []byte("ab"))
	passes(t, "anonymous struct", struct {
		a int8
		b any
		c []struct{ d string }
	}{1, "b", []struct{ d string }{{"d"}}})
	values(t, "Of", Sequential(Of("double", doubler{2}), Of("triple", doubler{3})), 2, 12)
	values(t, "function", Sequential(Plain("make", func(i int) (func() int, error) { return func() int { return i }, nil }), Plain("call", func(f func() int) (int, error) { return f(), nil })), 3, 3)
	failsAt(t, "Plain", Plain("bad", func(int) (int, error) { return 1, stop("x") }), 1, stop("x"), "bad")
}

// passes sends v through steps of every kind and composites.
func passes[T any](t *testing.T, name string, v T) {
	t.Helper()
	p, f := Plain("plain", same[T]), Func("func", func(_ context.Context, in T) (T, error) { return in, nil })
	always := func(context.Context, T) (bool, error) { return true, nil }
	values(t, name, Sequential6(p, f, BlockingDelay[T](time.Nanosecond), Conditional(always, p, f), p.With(Blocking), f.With(Computing)), v, v)
	values(t, name+" gathered", Sequential(Parallel(p, f, p), Plain("second", func(in []T) (T, error) { return in[1], nil }).With(Fresh)), v, v)
}

// A nested Parallel of untyped nodes: the slice types in it were made by no generic call.
func TestFromNodeNested(t *testing.T) {
	parallel := func(kids ...*graph.Node) *graph.Node {
		return &graph.Node{Kind: graph.Parallel, In: kids[0].In, Out: reflect.SliceOf(kids[0].Out), Kids: kids}
	}
	list := Into("list", func(_ context.Context, i int, out *[]string) error {
		*out = append((*out)[:0], fmt.Sprint(i), "x")
		return nil
	}).Node()
	other := Plain("other", func(i int) ([]string, error) { return []string{fmt.Sprint(-i)}, nil }).With(Blocking).Node()
	wait := BlockingDelay[int](time.Nanosecond).Node()
	m, err := FromNode[int, [][][]string](parallel(parallel(list, other),
		parallel(other, &graph.Node{Kind: graph.Sequential, In: wait.In, Out: list.Out, Kids: []*graph.Node{wait, plus(1).Node(), list}})))
	if err != nil {
		t.Fatal(err)
	}
	values(t, "nested", m, 5, [][][]string{{{"5", "x"}, {"-5"}}, {{"-5"}, {"6", "x"}}})
	e := must(t, m)
	first, _ := e.Call(t.Context(), 7)
	if _, err := e.Call(t.Context(), 8); err != nil || first[0][0][0] != "7" {
		t.Errorf("the result of a call is %v after another, %v", first, err)
	}
}

func TestFromNode(t *testing.T) {
	node := plus(1).Node()
	m, err := FromNode[int, int](node)
	if err != nil {
		t.Fatal(err)
	}
	values(t, "from a node", m, 1, 2)
	if _, err := FromNode[int, string](node); err == nil || !strings.Contains(err.Error(), "plus1") {
		t.Errorf("a handle with wrong types: %v", err)
	}
	var failed *graph.CompileError
	if _, err := Compile(Module[int, int]{}); !errors.As(err, &failed) {
		t.Errorf("a nil Module: %v", err)
	}
	if m := (Module[int, int]{}).With(Blocking); m.Node() != nil {
		t.Error("With made something of a nil Module")
	}
}
