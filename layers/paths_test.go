package layers

import (
	"context"
	"errors"
	"testing"

	"github.com/maida-ai/gomai/kernel"
)

// failsIf is a step that fails if the function in its context says so.
func failsIf(name string) Module[int, int] {
	return Func(name, func(ctx context.Context, in int) (int, error) {
		if ctx.Value(ctxKey{}).(func() bool)() {
			return in, errBoom
		}
		return in, nil
	})
}

// inRow is a named composite of the modules, one after the other.
func inRow(name string, modules ...Module[int, int]) Module[int, int] {
	m := modules[0]
	for _, next := range modules[1:] {
		m = Sequential(m, next)
	}
	return Sequential(Plain("begin", same[int]), m).With(Name(name))
}

// No two steps have one path: a Module that is used again gets a number, one that nobody else has.
func TestRepeatedPaths(t *testing.T) {
	a := failsIf("a")
	branches := sum(Sequential(a, a), a)
	for name, c := range map[string]struct {
		m    Module[int, int]
		want []string // the paths of the steps a, in order
	}{
		"in a row":                {inRow("r", a, a, a), []string{"r/a", "r/a#2", "r/a#3"}},
		"in unnamed composites":   {Sequential(Sequential(a, a), Sequential(a, a)), []string{"a", "a#2", "a#3", "a#4"}},
		"in one composite, twice": {Sequential(inRow("r", a), inRow("r", a, a)), []string{"r/a", "r#2/a", "r#2/a#2"}},
		"in branches":             {branches, []string{"parallel[0]/a", "parallel[0]/a#2", "parallel[1]/a"}},
		"in two Parallels": {Sequential(branches, branches), []string{"parallel[0]/a", "parallel[0]/a#2", "parallel[1]/a",
			"parallel#2[0]/a", "parallel#2[0]/a#2", "parallel#2[1]/a"}},
		"named like a repeat":       {inRow("r", a, a, a.With(Name("a#2")), a), []string{"r/a", "r/a#2", "r/a#2#2", "r/a#3"}},
		"named like one to come":    {inRow("r", a.With(Name("a#2")), a, a, a), []string{"r/a#2", "r/a", "r/a#3", "r/a#4"}},
		"named like a longer path":  {Sequential(inRow("r", a), a.With(Name("r/a"))), []string{"r/a", "r/a#2"}},
		"named like a branch":       {Sequential(sum(a), a.With(Name("parallel[0]/a"))), []string{"parallel[0]/a", "parallel[0]/a#2"}},
		"without a name":            {inRow("r", a.With(Name("")), a.With(Name(""))), []string{"r/step", "r/step#2"}},
		"with a name given outside": {inRow("r", a.With(Name("b")), a), []string{"r/b", "r/a"}},
	} {
		e := must(t, c.m.With(Computing))
		for i, want := range c.want {
			seen := 0
			_, err := e.Call(context.WithValue(t.Context(), ctxKey{}, func() bool { seen++; return seen == i+1 }), 1)
			var step *kernel.StepError
			if !errors.As(err, &step) || step.Path != want {
				t.Errorf("%s: step %d fails with %v, want the path %s", name, i, err, want)
			}
		}
	}
}
