package kernel

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cells"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/sched"
)

// number is the Type of an int64.
var number = &cells.Type{
	Name:    "int64",
	Flat:    true,
	New:     func(int) unsafe.Pointer { return unsafe.Pointer(new(int64)) },
	Move:    func(dst, src unsafe.Pointer) { *(*int64)(dst) = *(*int64)(src) },
	Clear:   func(p unsafe.Pointer) { *(*int64)(p) = 0 },
	Measure: func(unsafe.Pointer) int64 { return 8 },
}

// numbers returns n cells of numbers: the first is the input, the last the output.
func numbers(n int) []cells.Cell {
	c := make([]cells.Cell, n)
	for i := range c {
		c[i] = cells.Cell{Type: number, Parent: -1}
	}
	return c
}

func add(path string, n int64, in, out int) Op {
	return Op{Kind: OpStep, In: in, Out: out, Info: &Info{Path: path, Mark: settings.OptComputing, Out: number},
		Run: func(_ *Context, in, out unsafe.Pointer) error {
			*(*int64)(out) = *(*int64)(in) + n
			return nil
		}}
}

// program completes p: one limit, the call's; an end; catches from 1.
func program(ops []Op, memory []cells.Cell) *Program {
	root := &Info{Path: "root"}
	for i := range ops {
		if ops[i].Info == nil {
			ops[i].Info = root
		}
	}
	return &Program{
		Ops: append(ops, Op{Kind: OpEnd, Info: root}), Cells: memory, Out: len(memory) - 1,
		Limits: []settings.Limit{{}}, Catches: []Catch{{}},
	}
}

// run is what the typed engine of package layers does, for numbers.
func run(e *Engine, ctx context.Context, in int64, opts ...settings.Option) (int64, error) {
	f, err := e.Start(ctx, opts)
	if err != nil {
		return 0, err
	}
	*(*int64)(f.In()) = in
	err = f.Run()
	out := *(*int64)(f.Out())
	f.Release()
	return out, err
}

// Programs that no compiler made: the kernel needs nothing above it.
func TestPrograms(t *testing.T) {
	positive := Op{Kind: OpStep, In: 0, Out: 1, Info: &Info{Path: "positive", Mark: settings.OptComputing},
		Run: func(_ *Context, in, out unsafe.Pointer) error { *(*bool)(out) = *(*int64)(in) > 0; return nil }}
	for _, c := range []struct {
		name     string
		p        *Program
		in, want int64
	}{
		{"nothing", program(nil, numbers(1)), 5, 5},
		{"a step", program([]Op{add("a", 1, 0, 1)}, numbers(2)), 5, 6},
		{"two", program([]Op{add("a", 1, 0, 1), add("b", 10, 1, 2)}, numbers(3)), 5, 16},
		{"a move", program([]Op{add("a", 1, 0, 1), {Kind: OpMove, In: 1, Out: 2}}, numbers(3)), 5, 6},
		{"a delay", program([]Op{{Kind: OpDelay, In: 0, Out: 1, Wait: time.Microsecond}}, numbers(2)), 5, 5},
		{"a branch, taken", program([]Op{positive, {Kind: OpBranch, In: 1, N: 4}, add("then", 1, 0, 2), {Kind: OpJump, N: 5}, add("else", 100, 0, 2)}, numbers(3)), 5, 6},
		{"a branch, not taken", program([]Op{positive, {Kind: OpBranch, In: 1, N: 4}, add("then", 1, 0, 2), {Kind: OpJump, N: 5}, add("else", 100, 0, 2)}, numbers(3)), -5, 95},
	} {
		e := NewEngine(c.p, sched.Default(), 0)
		for i := range 5 {
			opts := []settings.Option(nil)
			if i%2 == 1 {
				opts = []settings.Option{{Kind: settings.OptTimeout, Word: uint64(time.Hour)}, {Kind: settings.OptTrace, Any: new(TraceHandle)}}
			}
			if got, err := run(e, context.Background(), c.in, opts...); got != c.want || err != nil {
				t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A fork whose branches wait: each is a program counter, and the last one to end goes on.
func TestForkOfDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sched.New()
		defer s.Close()
		p := program([]Op{
			{Kind: OpFork},
			{Kind: OpDelay, In: 0, Out: 1, Wait: 3 * time.Second}, {Kind: OpJoin},
			{Kind: OpDelay, In: 0, Out: 2, Wait: 2 * time.Second}, add("after", 1, 2, 2), {Kind: OpJoin},
			{Kind: OpDelay, In: 0, Out: 3, Wait: time.Second}, {Kind: OpJoin},
			{Kind: OpStep, In: 1, Out: 4, Info: &Info{Path: "sum", Mark: settings.OptComputing}},
		}, numbers(5))
		p.Forks = []Fork{{Begin: 0, Starts: []int{1, 3, 6}, Joins: []int{2, 5, 7}, End: 8}}
		e := NewEngine(p, s, 0)
		var cell [3]unsafe.Pointer
		p.Ops[8].Run = func(c *Context, _, out unsafe.Pointer) error {
			for i := range cell {
				cell[i] = c.strand.frame.cells.At[i+1]
				*(*int64)(out) += *(*int64)(cell[i])
			}
			return nil
		}
		start := time.Now()
		got, err := run(e, context.Background(), 5)
		if got != 16 || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%d, %v after %v, want 16 after 3s", got, err, time.Since(start))
		}
	})
}

// Outside a step the accessors have nothing to say, and say so.
func TestAccessorsOutsideSteps(t *testing.T) {
	type key struct{}
	for name, ctx := range map[string]context.Context{
		"background": context.Background(), "nil": nil, "a request": context.WithValue(t.Context(), key{}, 1),
	} {
		_, set := Lookup(ctx, &settings.Key{Name: "k"})
		if Metadata(ctx, "k") != "" || Auth(ctx) != nil || StepID(ctx) != 0 || set {
			t.Errorf("%s: an accessor found something", name)
		}
		if d := Detach(ctx); d.Err() != nil || d.Done() != nil {
			t.Errorf("%s: a detached context can end", name)
		}
	}
	outer := WithMetadata(WithMetadata(context.Background(), "a", "1"), "b", "2")
	inner := context.WithValue(WithMetadata(outer, "a", "3"), key{}, 1)
	for k, want := range map[string]string{"a": "3", "b": "2", "c": ""} {
		if got := Metadata(inner, k); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if Metadata(outer, "a") != "1" || inner.Value(key{}) != 1 {
		t.Error("WithMetadata changed what it wraps")
	}
}

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"a/b: boom":              &StepError{"a/b", errors.New("boom")},
		"panic: 5":               &PanicError{Value: 5},
		"threshold: no":          &SettingError{Setting: "threshold", Reason: "no"},
		"a: threshold: no":       &SettingError{Path: "a", Setting: "threshold", Reason: "no"},
		"engine is closed":       ErrClosed,
		"a: file does not exist": &StepError{"a", fs.ErrNotExist},
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if !errors.Is(&StepError{"a", &PanicError{Value: fs.ErrNotExist}}, fs.ErrNotExist) {
		t.Error("a panic with an error hides it")
	}
	if errors.Is(&PanicError{Value: "text"}, fs.ErrNotExist) || (&PanicError{Value: "text"}).Unwrap() != nil {
		t.Error("a panic with a text unwraps to something")
	}
	down := &ShutdownError{Inside: 2, Abandoned: 3, Err: context.Canceled}
	if s := down.Error(); !strings.Contains(s, "2 calls") || !strings.Contains(s, "3 abandoned") || !errors.Is(down, context.Canceled) {
		t.Errorf("got %q", s)
	}
}
