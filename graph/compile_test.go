package graph

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

var (
	intType    = reflect.TypeFor[int]()
	stringType = reflect.TypeFor[string]()
	boolType   = reflect.TypeFor[bool]()
)

// step makes a leaf of a function on reflect.Values.
func step(name string, in, out reflect.Type, f func(in, out reflect.Value) error) *Node {
	return &Node{Name: name, In: in, Out: out, Step: func(_ *kernel.Context, i, o unsafe.Pointer) error {
		return f(reflect.NewAt(in, i).Elem(), reflect.NewAt(out, o).Elem())
	}}
}

// say returns a step that returns its name and its input.
func say(name string) *Node {
	return step(name, intType, stringType, func(in, out reflect.Value) error {
		out.SetString(fmt.Sprint(name, in))
		return nil
	})
}

func add(n int) *Node {
	return step(fmt.Sprint("add", n), intType, intType, func(in, out reflect.Value) error {
		out.SetInt(in.Int() + int64(n))
		return nil
	})
}

// isOdd is a predicate.
func isOdd() *Node {
	return step("odd", intType, boolType, func(in, out reflect.Value) error {
		out.SetBool(in.Int()%2 != 0)
		return nil
	})
}

func composite(k Kind, in, out reflect.Type, kids ...*Node) *Node {
	return &Node{Kind: k, In: in, Out: out, Kids: kids}
}

// parallel gathers kids of one type.
func parallel(kids ...*Node) *Node {
	return composite(Parallel, kids[0].In, reflect.SliceOf(kids[0].Out), kids...)
}

func sequential(kids ...*Node) *Node {
	return composite(Sequential, kids[0].In, kids[len(kids)-1].Out, kids...)
}

// call runs e once, as package layers does.
func call(ctx context.Context, e *kernel.Engine, root *Node, in any, opts ...settings.Option) (any, error) {
	f, err := e.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	cell := reflect.NewAt(root.In, f.In()).Elem()
	given := reflect.New(root.In)
	if in != nil {
		given.Elem().Set(reflect.ValueOf(in))
	}
	if f.CopiesInput() {
		own := reflect.New(root.In)
		if err := f.CopyIn(own.UnsafePointer(), given.UnsafePointer()); err != nil {
			return nil, err
		}
		given = own
	}
	cell.Set(given.Elem())
	if err := f.Run(); err != nil {
		return nil, err
	}
	result := reflect.New(root.Out).Elem()
	if f.CopiesOutput() {
		reflect.NewAt(root.Out, f.Result()).Elem().SetZero()
		if err := f.CopyOut(); err != nil {
			return nil, err
		}
		result.Set(reflect.NewAt(root.Out, f.Result()).Elem())
	} else {
		result.Set(reflect.NewAt(root.Out, f.Out()).Elem())
	}
	return result.Interface(), nil
}

// A nested Parallel that no generic call made: its types exist only as reflect.Types.
func TestUntypedNestedParallel(t *testing.T) {
	delay := &Node{Kind: Delay, In: intType, Out: intType, Wait: time.Nanosecond}
	into := say("into")
	into.Into = true
	root := sequential(add(1), parallel(
		parallel(say("a"), sequential(add(1), say("b"))),
		parallel(into, sequential(delay, say("d"))),
	))
	plan, err := Compile(root)
	if err != nil {
		t.Fatal(err)
	}
	e := kernel.NewEngine(plan.Program(), sched.Default(), 0)
	var results []any
	for range 40 {
		got, err := call(t.Context(), e, root, 1)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, got)
	}
	for i, got := range results {
		if want := [][]string{{"a2", "b3"}, {"into2", "d2"}}; !reflect.DeepEqual(got, want) {
			t.Fatalf("call %d: got %q, want %q\n%s", i, got, want, plan.Explain())
		}
	}
	if s := e.Stats(); s.Calls != 40 || s.Inside != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestEdges(t *testing.T) {
	pair := reflect.TypeFor[struct {
		A int
		B string
	}]()
	odd, ints := isOdd(), reflect.TypeFor[[]int]()
	nameless := &Node{Name: "nameless", Step: add(1).Step}
	for name, c := range map[string]struct {
		root *Node
		path string
		says string
	}{
		"nil":                          {nil, "", "nil Module"},
		"no types":                     {nameless, "nameless", "no types"},
		"no types below":               {composite(Sequential, intType, intType, add(1), nameless), "nameless", "no types"},
		"no types in a Parallel":       {composite(Parallel, intType, ints, add(1), nameless), "parallel[1]", "returns <nil>"},
		"no types in a Both":           {composite(Both, intType, pair, add(1), nameless), "both[1]", "returns <nil>"},
		"no types of a predicate":      {composite(Conditional, intType, intType, nameless, add(1), add(2)), "conditional", "predicate"},
		"no types of a branch":         {composite(Conditional, intType, intType, odd, add(1), nameless), "conditional[else]", "returns <nil>"},
		"nil kid":                      {composite(Sequential, intType, intType, add(1), nil), "sequential", "module 2 of 2: nil Module"},
		"nil branch":                   {composite(Parallel, intType, ints, nil), "parallel", "module 1 of 1: nil Module"},
		"no kids":                      {composite(Parallel, intType, ints), "parallel", "no modules"},
		"no kids below":                {sequential(add(1), composite(Both, intType, pair)), "both", "no modules"},
		"no function":                  {sequential(add(1), &Node{Name: "empty", In: intType, Out: intType}), "empty", "nil function"},
		"unknown kind":                 {sequential(add(1), &Node{Kind: 77, In: intType, Out: intType}), "kind 77", "unknown kind"},
		"an error of the node":         {sequential(add(1), &Node{Name: "bad", In: intType, Out: intType, Err: errors.New("axis must be 0")}), "bad", "axis must be 0"},
		"sequential: in":               {composite(Sequential, stringType, intType, add(1), add(2)), "add1", "takes int"},
		"sequential: between":          {composite(Sequential, intType, intType, say("a"), add(2)), "add2", "takes int and returns int where string and int are wanted"},
		"sequential: out":              {composite(Sequential, intType, stringType, add(1), add(2)), "add2", "returns int"},
		"named sequential":             {parallel(add(1), &Node{Kind: Sequential, Name: "s", In: intType, Out: intType, Kids: []*Node{say("a")}}), "parallel[1]/s/a", "returns string"},
		"parallel: in of a branch":     {composite(Parallel, intType, ints, add(1), step("s", stringType, intType, nil)), "parallel[1]/s", "takes string"},
		"parallel: out of a branch":    {composite(Parallel, intType, ints, add(1), say("s")), "parallel[1]", "returns string where int is gathered"},
		"parallel: no slice":           {composite(Parallel, intType, intType, add(1)), "parallel", "cannot gather in a int"},
		"parallel: an array":           {composite(Parallel, intType, reflect.TypeFor[[1]int](), add(1)), "parallel", "cannot gather"},
		"both: no struct":              {composite(Both, intType, ints, add(1), add(2)), "both", "cannot gather"},
		"both: a field more":           {composite(Both, intType, pair, add(1)), "both", "cannot gather"},
		"both: a field less":           {composite(Both, intType, pair, add(1), say("s"), add(2)), "both", "cannot gather"},
		"both: a field's type":         {composite(Both, intType, pair, say("s"), say("s")), "both[0]", "returns string where int is gathered"},
		"both: in":                     {composite(Both, stringType, pair, add(1), say("s")), "both[0]/add1", "takes int"},
		"conditional: no bool":         {composite(Conditional, intType, intType, add(1), add(2), add(3)), "conditional", "predicate"},
		"conditional: in of predicate": {composite(Conditional, stringType, intType, odd, add(2), add(3)), "conditional/odd", "takes int"},
		"conditional: in of a branch":  {composite(Conditional, intType, intType, odd, add(2), step("s", stringType, intType, nil)), "conditional[else]/s", "takes string"},
		"conditional: out of a branch": {composite(Conditional, intType, intType, odd, say("a"), add(3)), "conditional[then]", "returns string"},
		"conditional: other out":       {composite(Conditional, intType, intType, odd, add(3), say("a")), "conditional[else]", "returns string"},
		"conditional: two kids":        {composite(Conditional, intType, intType, odd, add(3)), "conditional", "takes a predicate and two modules"},
		"conditional: four kids":       {composite(Conditional, intType, intType, odd, add(1), add(2), add(3)), "conditional", "takes a predicate and two modules"},
		"delay: types":                 {sequential(add(1), &Node{Kind: Delay, In: intType, Out: stringType}), "delay", "passes on a int as a string"},
		"delay: negative":              {sequential(add(1), &Node{Kind: Delay, In: intType, Out: intType, Wait: -1}), "delay", "negative"},
		"second use of a name":         {sequential(add(1), add(1), composite(Parallel, intType, ints, add(1)), composite(Parallel, intType, ints, add(1))), "parallel#2", "takes int"},
	} {
		if c.root != nil {
			for _, k := range c.root.Kids {
				if k != nil && k.Step == nil && k.Name == "s" && k.Kind == Leaf {
					k.Step = add(1).Step
				}
			}
		}
		_, err := Compile(c.root)
		var failed *CompileError
		if !errors.As(err, &failed) || failed.Path != c.path || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %q, want an error at %q that says %q", name, err, c.path, c.says)
		}
	}
}

// A kind that does not exist has a name all the same.
func TestKindNames(t *testing.T) {
	for k, want := range map[Kind]string{Leaf: "step", Delay: "delay", Retry: "retry", Retry + 1: "kind 8", 255: "kind 255"} {
		if k.String() != want {
			t.Errorf("kind %d is called %q, want %q", uint8(k), k, want)
		}
	}
}
