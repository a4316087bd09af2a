package layers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/maida-ai/gomai/kernel"
)

// Modules that cannot be are errors of Compile that say which one, and why.
func TestRefusedModules(t *testing.T) {
	ok, none := plus(1), Module[int, int]{}
	yes := func(context.Context, int) (bool, error) { return true, nil }
	for name, c := range map[string]struct {
		m    Module[int, int]
		want string
	}{
		"nil Module":            {none, "nil Module"},
		"nil Module, With":      {none.With(Blocking), "nil Module"},
		"nil in a Sequential":   {Sequential(ok, none), "sequential: module 2 of 2: nil Module"},
		"nil in a named one":    {Sequential3(ok, none, ok).With(Name("top")), "top: module 2 of 3: nil Module"},
		"nil in a Parallel":     {sum(ok, none).With(Name("top")), "top/parallel: module 2 of 2: nil Module"},
		"nil in a Conditional":  {Conditional(yes, ok, none), "conditional: module 3 of 3: nil Module"},
		"nil predicate":         {Conditional(nil, ok, ok), "conditional/predicate: nil function"},
		"empty Parallel":        {sum().With(Name("top")), "top/parallel: no modules"},
		"empty Parallel, below": {sum(ok, sum()), "parallel[1]/parallel: no modules"},
		"Plain of nil":          {Sequential(ok, Plain[int, int]("none", nil)), "none: nil function"},
		"Func of nil":           {Sequential(ok, Func[int, int]("none", nil)), "none: nil function"},
		"Into of nil":           {Sequential(ok, Into[int, int]("none", nil)), "none: nil function"},
		"Of nil":                {Sequential(ok, Of[int, int]("none", nil)), "none: nil function"},
		"negative delay":        {Sequential(ok, BlockingDelay[int](-ms)).With(Name("top")), "top/delay: delay must not be negative, is -1ms"},
	} {
		if e, err := Compile(c.m); err == nil || err.Error() != c.want || e != nil {
			t.Errorf("%s: Compile says %v, want %s", name, err, c.want)
		}
	}
}

// An option where it means nothing is refused, whichever it is.
func TestRefusedOptions(t *testing.T) {
	refused := func(err error, o Option, reason string) {
		t.Helper()
		var s *kernel.SettingError
		if !errors.As(err, &s) || s.Setting != o.Kind.String() || s.Reason != reason {
			t.Errorf("got %v, want %v: %s", err, o.Kind, reason)
		}
	}
	ofModule := []Option{Reads(), Blocking, Computing, Pure, Effect, Fresh, WaitAll, Name("a"), Version("1")}
	ofBoth := []Option{Timeout(ms), Deadline(time.Now()), Metadata("a", "b"), Auth(1), Set("a", 1), setInt.Set(1)}
	ofCall, ofCompile := Trace(new(TraceHandle)), []Option{MaxBlocking(1), On(nil)}
	for _, o := range append(append(ofBoth, ofModule...), ofCall) {
		_, err := Compile(plus(1), o)
		refused(err, o, "is no setting of Compile")
	}
	for _, o := range append(ofCompile, ofCall) {
		_, err := Compile(plus(1).With(o))
		refused(err, o, "is no setting of a Module")
	}
	e := must(t, plus(1))
	for _, o := range append(ofModule, ofCompile...) {
		for range 40 { // more than there are Frames
			_, err := e.Call(t.Context(), 1, o)
			refused(err, o, "is no setting of a call")
		}
	}
	if st := e.Stats(); st.Inside != 0 {
		t.Errorf("refused calls are still inside: %+v", st)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
