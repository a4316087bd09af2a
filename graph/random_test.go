package graph

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

type (
	failure string
	parts   struct {
		A []int64
		B string
	}
	record struct {
		N int64
		S []int64
		T [2][]string
	}
	family struct {
		Name string
		Kids []family
	}
)

func (f failure) Error() string { return string(f) }

// randomTypes are what random modules take and return.
var randomTypes = []reflect.Type{
	reflect.TypeFor[int64](), reflect.TypeFor[string](), boolType, reflect.TypeFor[[]int64](), reflect.TypeFor[[]string](),
	reflect.TypeFor[[][]int64](), reflect.TypeFor[[][]string](), reflect.TypeFor[[][][]int64](), reflect.TypeFor[parts](),
	reflect.TypeFor[record](), reflect.TypeFor[[]record](), reflect.TypeFor[family](), reflect.TypeFor[any](), reflect.TypeFor[[]any](),
	reflect.TypeFor[error](), reflect.TypeFor[*int64](), reflect.TypeFor[[]*record](), reflect.TypeFor[map[string][]int64](),
	reflect.TypeFor[[2][]int64](), reflect.TypeFor[[3]int64](), reflect.TypeFor[struct{}](), reflect.TypeFor[[]struct{}](),
}

// forest grows random trees of modules and knows, by itself, what they return.
type forest struct {
	*rand.Rand
	leaves  int
	retries int // round the node that grows
	do      map[*Node]func(in, out reflect.Value)
	all     []*Node
}

func newForest(seed uint64) *forest {
	return &forest{Rand: rand.New(rand.NewPCG(seed, 7)), do: map[*Node]func(in, out reflect.Value){}}
}

func (f *forest) typ() reflect.Type { return randomTypes[f.IntN(len(randomTypes))] }

func (f *forest) node(in, out reflect.Type, depth int) *Node {
	n := &Node{In: in, Out: out}
	f.all = append(f.all, n)
	kind := Kind(f.IntN(int(Retry) + 1))
	switch pair := out.Kind() == reflect.Struct && out.NumField() == 2; {
	case depth == 0:
	case kind == Delay && in == out:
		n.Kind, n.Wait = Delay, time.Duration(f.IntN(2))
	case kind == BlockingDelay && in == out:
		n.Kind, n.Wait = BlockingDelay, time.Duration(f.IntN(2))
	case kind == Retry:
		n.Kind, n.Policy = Retry, RetryPolicy{Base: 1}
		f.retries++
		n.Kids = []*Node{f.node(in, out, depth-1)}
		f.retries--
	case kind == Sequential:
		n.Kind = Sequential
		for range f.IntN(3) {
			mid := f.typ()
			n.Kids = append(n.Kids, f.node(in, mid, depth-1))
			in = mid
		}
		n.Kids = append(n.Kids, f.node(in, out, depth-1))
	case kind == Parallel && out.Kind() == reflect.Slice:
		n.Kind = Parallel
		for range 1 + f.IntN(3) {
			n.Kids = append(n.Kids, f.node(in, out.Elem(), depth-1))
		}
	case kind == Both && pair:
		n.Kind = Both
		n.Kids = []*Node{f.node(in, out.Field(0).Type, depth-1), f.node(in, out.Field(1).Type, depth-1)}
	case kind == Conditional:
		n.Kind = Conditional
		n.Kids = []*Node{f.node(in, boolType, depth-1), f.node(in, out, depth-1), f.node(in, out, depth-1)}
	}
	switch f.IntN(6) {
	case 0:
		n.Options = append(n.Options, settings.Option{Kind: settings.OptBlocking})
	case 1, 2:
		n.Options = append(n.Options, settings.Option{Kind: settings.OptComputing})
	case 3:
		n.Options = append(n.Options, settings.Option{Kind: settings.OptTimeout, Word: uint64(time.Hour)})
	}
	switch {
	case n.Kind == Leaf:
		f.leaf(n)
	case (n.Kind == Parallel || n.Kind == Both) && f.IntN(4) == 0:
		n.Options = append(n.Options, settings.Option{Kind: settings.OptWaitAll})
	}
	return n
}

// leaf makes n a step: one that fills engine memory, or a function that may hand on part of its input.
func (f *forest) leaf(n *Node) {
	f.leaves++
	n.Name = fmt.Sprint("s", f.leaves)
	salt, shares := f.Uint64(), f.IntN(2) == 0
	n.Into = !shares && f.IntN(3) > 0
	do := func(in, out reflect.Value) {
		switch {
		case shares && in.Kind() == reflect.Slice && in.Type() == out.Type():
			out.Set(in.Slice(in.Len()/2, in.Len()))
		case shares && in.Type().AssignableTo(out.Type()):
			out.Set(in)
		case shares && in.Kind() == reflect.Slice && in.Type().Elem() == out.Type() && in.Len() > 0:
			out.Set(in.Index(in.Len() - 1))
		case shares && out.Kind() == reflect.Slice && in.Type() == out.Type().Elem():
			out.Set(reflect.Append(reflect.Zero(out.Type()), in, in))
		default:
			fill(rand.New(rand.NewPCG(salt, digest(in))), out, 3)
		}
	}
	f.do[n] = do
	fails := 0 // attempts, after they have written what is not to be seen
	if f.retries > 0 {
		fails = f.IntN(DefaultRetries + 1)
	}
	n.Step = func(c *kernel.Context, in, out unsafe.Pointer) error {
		if kernel.RetryCount(c) < fails {
			fill(rand.New(rand.NewPCG(salt, 1)), reflect.NewAt(n.Out, out).Elem(), 3)
			return context.DeadlineExceeded
		}
		do(reflect.NewAt(n.In, in).Elem(), reflect.NewAt(n.Out, out).Elem())
		return nil
	}
}

// digest depends on all of v but the order of maps.
func digest(v reflect.Value) (sum uint64) {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		sum = uint64(v.Len())
		for i := range v.Len() {
			sum = sum*31 + digest(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			sum = sum*37 + digest(v.Field(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			sum += digest(it.Key()) ^ digest(it.Value())
		}
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			sum = 1 + digest(v.Elem())
		}
	default:
		h := fnv.New64a()
		fmt.Fprint(h, v)
		sum = h.Sum64()
	}
	return sum
}

// fill sets v to something random and uses the slices that it finds.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Int64:
		v.SetInt(r.Int64N(1000))
	case reflect.String:
		v.SetString(fmt.Sprint("t", r.IntN(1000)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Slice:
		n, spare := r.IntN(4), r.IntN(3)
		if depth == 0 {
			n = 0
		}
		if v.Cap() < n || v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), n, n+spare))
		}
		v.SetLen(n)
		for i := range n {
			fill(r, v.Index(i), depth-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(r, e, depth)
		v.SetMapIndex(reflect.ValueOf("k"), e)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), depth)
	case reflect.Interface:
		things := []any{failure("f"), failure(fmt.Sprint(r.IntN(9)))}
		if v.NumMethod() == 0 {
			things = append(things, r.Int64N(9), []int64{r.Int64N(9)})
		}
		v.Set(reflect.ValueOf(things[r.IntN(len(things))]))
	}
}

// eval is the oracle: what n returns for in, in memory of its own.
func (f *forest) eval(n *Node, in reflect.Value) reflect.Value {
	out := reflect.New(n.Out).Elem()
	switch n.Kind {
	case Leaf:
		f.do[n](in, out)
	case Delay, BlockingDelay:
		out.Set(in)
	case Retry:
		return f.eval(n.Kids[0], in)
	case Sequential:
		for _, k := range n.Kids {
			in = f.eval(k, in)
		}
		out.Set(in)
	case Parallel:
		for _, k := range n.Kids {
			out.Set(reflect.Append(out, f.eval(k, in)))
		}
	case Both:
		for i, k := range n.Kids {
			out.Field(i).Set(f.eval(k, in))
		}
	case Conditional:
		if f.eval(n.Kids[0], in).Bool() {
			return f.eval(n.Kids[1], in)
		}
		return f.eval(n.Kids[2], in)
	}
	return out
}

// runs calls a compiled root some times and compares with the oracle, at once and in the end.
// It returns how many Parallels were handed to the crew.
func (f *forest) runs(t *testing.T, root *Node, plan *WorkflowPlan, calls int, spread bool) int64 {
	t.Helper()
	e := kernel.NewEngine(plan.Program(), sched.Default(), 0)
	if spread {
		e.SpreadAlways()
	}
	got, want := make([]any, calls), make([]any, calls)
	for i := range calls {
		in := reflect.New(root.In).Elem()
		fill(f.Rand, in, 3)
		before := digest(in)
		want[i] = f.eval(root, in).Interface()
		var err error
		if got[i], err = call(t.Context(), e, root, in.Interface()); err != nil {
			t.Fatalf("call %d: %v\n%s", i, err, plan.Explain())
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("call %d: got %#v, want %#v\n%s", i, got[i], want[i], plan.Explain())
		}
		if digest(in) != before {
			t.Fatalf("call %d: the input was changed\n%s", i, plan.Explain())
		}
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("result %d after the last call: got %#v, want %#v\n%s", i, got[i], want[i], plan.Explain())
		}
	}
	s := e.Stats()
	retries := slices.ContainsFunc(plan.Program().Catches, func(c kernel.Catch) bool { return c.Retry != nil })
	if s.Calls != int64(calls) || s.Inside != 0 || s.Abandoned != 0 && !retries { // a failed attempt leaves siblings alone
		t.Fatalf("stats %+v", s)
	}
	return s.Spread
}

func TestRandomTrees(t *testing.T) {
	const trees = 400
	compiled := 0
	for seed := range uint64(trees) {
		f := newForest(seed)
		root := f.node(f.typ(), f.typ(), 4)
		plan, err := Compile(root)
		var failed *CompileError
		if errors.As(err, &failed) && failed.Path != "" && strings.Contains(err.Error(), "cannot be copied") {
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		compiled++
		if f.runs(t, root, plan, 24, false); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if compiled < trees/2 {
		t.Errorf("only %d of %d trees were compiled", compiled, trees)
	}
}

// Parallels of random trees, each handed to the crew.
func TestRandomSpreads(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	spread := int64(0)
	for seed := range uint64(300) {
		f := newForest(seed)
		in, elem := f.typ(), f.typ()
		root := &Node{Kind: Parallel, In: in, Out: reflect.SliceOf(elem)}
		for range 2 + f.IntN(4) {
			root.Kids = append(root.Kids, f.node(in, elem, 3))
		}
		if seed%4 > 0 { // otherwise most steps go to the lane, on trial
			root.Options = append(root.Options, settings.Option{Kind: settings.OptComputing})
		}
		plan, err := Compile(root)
		var failed *CompileError
		if errors.As(err, &failed) && strings.Contains(err.Error(), "cannot be copied") {
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if spread += f.runs(t, root, plan, 24, true); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if spread < 2000 {
		t.Errorf("only %d Parallels were handed to the crew", spread)
	}
}

// A tree that is broken somewhere is an error that says where, unless the change left it whole.
func TestBrokenTrees(t *testing.T) {
	whole, broken := 0, 0
	for seed := range uint64(4000) {
		f := newForest(seed)
		root := f.node(f.typ(), f.typ(), 3)
		f.damage(f.all[f.IntN(len(f.all))])
		plan, err := Compile(root)
		if err != nil {
			broken++
			var failed *CompileError
			var setting *kernel.SettingError
			if !errors.As(err, &failed) && !errors.As(err, &setting) || failed != nil && failed.Path == "" || setting != nil && setting.Path == "" {
				t.Fatalf("seed %d: %T %v names no module", seed, err, err)
			}
			continue
		}
		whole++
		if f.runs(t, root, plan, 2, false); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if whole < 100 || broken < 1000 {
		t.Errorf("%d trees were whole and %d broken", whole, broken)
	}
}

func (f *forest) damage(n *Node) {
	kids := len(n.Kids)
	switch c := f.IntN(9); {
	case c == 0:
		n.In = f.typ()
	case c == 1:
		n.Out = f.typ()
	case c == 2:
		n.In = nil
	case c == 3:
		n.Out = nil
	case c == 4 && n.Kind != Retry: // its leaves count on it
		n.Kind = Kind(f.IntN(8))
	case c == 5 && n.Kind == Leaf:
		n.Step = nil
	case c == 6 && kids > 0:
		n.Kids[f.IntN(kids)] = nil
	case c == 7 && kids > 0:
		n.Kids = n.Kids[:kids-1]
	case kids > 0:
		n.Kids = append(n.Kids, n.Kids[f.IntN(kids)])
	default:
		n.Wait = -1
	}
}
