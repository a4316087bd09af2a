package layers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// nest is a step that calls e with its own context, or with what derive makes of it.
func nest[I, O any](name string, e *Engine[I, O], derive func(context.Context) context.Context, opts ...Option) Module[I, O] {
	return Func(name, func(ctx context.Context, in I) (O, error) {
		if derive != nil {
			ctx = derive(ctx)
		}
		return e.Call(ctx, in, opts...)
	})
}

// The earliest deadline of all calls that are under way ends the innermost, and those round it see why.
func TestNestedDeadline(t *testing.T) {
	const short, long = 40 * time.Millisecond, time.Hour
	for name, c := range map[string]struct {
		ctx              time.Duration
		outer, mid, call time.Duration
		path             string // of the first error
	}{
		"the caller's context": {short, long, long, long, ""},
		"the outer call":       {long, short, long, long, ""},
		"the outer alone":      {0, short, 0, 0, ""},
		"the middle engine":    {long, long, short, long, ""},
		"the inner call":       {long, long, long, short, ""},
		"the inner alone":      {0, 0, 0, short, ""},
	} {
		for _, mark := range []Option{Computing, Blocking} {
			synctest.Test(t, func(t *testing.T) {
				s := sched.New()
				defer s.Close()
				limit := func(d time.Duration) []Option {
					if d == 0 {
						return nil
					}
					return []Option{Timeout(d)}
				}
				start := time.Now()
				var due time.Time
				wait := must(t, look("wait", func(ctx context.Context) {
					due, _ = ctx.Deadline()
					<-ctx.Done()
				}).With(Blocking), On(s))
				mid := must(t, nest("mid", wait, nil, limit(c.call)...).With(Computing).With(limit(c.mid)...), On(s))
				outer := must(t, nest("outer", mid, nil).With(mark).With(limit(c.outer)...), On(s))
				ctx := t.Context()
				if c.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.ctx)
					defer cancel()
				}
				_, err := outer.Call(ctx, 1)
				took := time.Since(start)
				synctest.Wait() // for the abandoned run
				if took < short || took > short+2*time.Millisecond {
					t.Errorf("%s, %s: the call took %v", name, mark, took)
				}
				if d := due.Sub(start); d < short || d > short+2*time.Millisecond {
					t.Errorf("%s, %s: the innermost step has the deadline %v", name, mark, d)
				}
				var step *kernel.StepError
				if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &step) || step.Path != "outer" {
					t.Errorf("%s, %s: the error is %v", name, mark, err)
				}
			})
		}
	}
}

func TestNestedCancel(t *testing.T) {
	stop := errors.New("stopped by the caller")
	for _, mark := range []Option{Computing, Blocking} {
		synctest.Test(t, func(t *testing.T) {
			s := sched.New()
			defer s.Close()
			// The caller may leave, and end the step's context, before its own cause has come down to it.
			var cause error
			wait := must(t, look("wait", func(ctx context.Context) {
				<-ctx.Done()
				cause = context.Cause(ctx)
			}).With(Blocking), On(s))
			outer := must(t, nest("outer", must(t, nest("mid", wait, nil).With(Computing), On(s)), nil).With(mark), On(s))
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(stop) })
			start := time.Now()
			_, err := outer.Call(ctx, 1)
			synctest.Wait()
			if took := time.Since(start); !errors.Is(err, context.Canceled) || cause != stop && cause != context.Canceled || took != time.Second {
				t.Errorf("%s: after %v the call returned %v, the innermost step saw %v", mark, took, err, cause)
			}
		})
	}
}

// nestedView is what a step of a nested call sees of those round it.
type nestedView struct {
	auth           any
	meta           string
	parent, caller uint64 // TraceHandle.Parent, and StepID of the calling step
}

func TestNestedInheritance(t *testing.T) {
	s := sched.New()
	defer s.Close()
	inner := must(t, Func("inner", func(ctx context.Context, _ int) (nestedView, error) {
		return nestedView{auth: kernel.Auth(ctx), meta: kernel.Metadata(ctx, "k")}, nil
	}), On(s))
	own := must(t, typed[int, nestedView](t, inner.Plan().Root()).With(Auth("engine"), Metadata("k", "engine")), On(s))
	for name, c := range map[string]struct {
		engine *Engine[int, nestedView]
		derive func(context.Context) context.Context
		opts   []Option
		auth   any
		meta   string
	}{
		"plainly":       {inner, nil, nil, "outer", "outer"},
		"by a call":     {inner, nil, []Option{Auth("call"), Metadata("k", "call")}, "call", "call"},
		"by an engine":  {own, nil, nil, "engine", "engine"},
		"call, engine":  {own, nil, []Option{Auth("call"), Metadata("k", "call")}, "call", "call"},
		"nothing":       {inner, nil, []Option{Auth(nil), Metadata("k", "")}, nil, ""},
		"WithMetadata":  {inner, func(c context.Context) context.Context { return kernel.WithMetadata(c, "k", "w") }, nil, "outer", "w"},
		"WithValue":     {inner, func(c context.Context) context.Context { return context.WithValue(c, ctxKey{}, 1) }, nil, "outer", "outer"},
		"Detach":        {inner, kernel.Detach, nil, "outer", "outer"},
		"another's ctx": {inner, func(context.Context) context.Context { return context.Background() }, nil, nil, ""},
	} {
		for _, mark := range []Option{Computing, Blocking} {
			var traces [2]TraceHandle
			step := Func("outer", func(ctx context.Context, in int) (nestedView, error) {
				caller := kernel.StepID(ctx)
				d := ctx
				if c.derive != nil {
					d = c.derive(ctx)
				}
				v, err := c.engine.Call(d, in, append(c.opts, Trace(&traces[in]))...)
				v.parent, v.caller = traces[in].Parent, caller
				if kernel.Auth(ctx) != "outer" || kernel.Metadata(ctx, "k") != "outer" {
					t.Errorf("%s: after the nested call its caller sees %v, %q", name, kernel.Auth(ctx), kernel.Metadata(ctx, "k"))
				}
				return v, err
			})
			at := func(in int) Module[int, nestedView] {
				return Sequential(Plain("at", func(int) (int, error) { return in, nil }), step)
			}
			e := must(t, Parallel(at(0), at(1)).With(mark), On(s))
			var tr TraceHandle
			for range 3 {
				for _, v := range call(t, e, httpContext(t), 0, Auth("outer"), Metadata("k", "outer"), Trace(&tr)) {
					if v.auth != c.auth || v.meta != c.meta {
						t.Errorf("%s, %s: inner sees auth %v and metadata %q, want %v and %q", name, mark, v.auth, v.meta, c.auth, c.meta)
					}
					if alone := c.auth == nil && c.derive != nil; alone && v.parent != 0 || !alone && (v.parent != v.caller || v.parent == 0) {
						t.Errorf("%s, %s: the trace's parent is %d, the calling step %d", name, mark, v.parent, v.caller)
					}
				}
				for _, span := range tr.Spans {
					if strings.HasSuffix(span.Path, "outer") && span.StepID != traces[0].Parent && span.StepID != traces[1].Parent && c.auth != nil {
						t.Errorf("%s, %s: no trace has the span %s, %d, as parent", name, mark, span.Path, span.StepID)
					}
				}
				if tr.Parent != 0 {
					t.Errorf("%s: a call from outside has the parent %d", name, tr.Parent)
				}
			}
		}
	}
}

// typed is FromNode for a node whose types are known.
func typed[I, O any](t *testing.T, n *graph.Node) Module[I, O] {
	m, err := FromNode[I, O](n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// An Auth of a With is the step's; of several the innermost holds.
func TestAuthOfWith(t *testing.T) {
	read := Func("read", func(ctx context.Context, _ int) (any, error) { return kernel.Auth(ctx), nil }).With(Fresh)
	e := must(t, Sequential(Plain("in", same[int]), Parallel(read, read.With(Auth("b")), read.With(Auth("in")).With(Auth("out")))).With(Auth("all")))
	if got := call(t, e, t.Context(), 1); fmt.Sprint(got) != "[all b in]" {
		t.Errorf("got %v", got)
	}
	if got := call(t, e, t.Context(), 1, Auth("call")); fmt.Sprint(got) != "[call call call]" {
		t.Errorf("with the call's: got %v", got)
	}
}

type token struct{ Secret string }

func (t token) String() string { return t.Secret }
func (t token) Error() string  { return t.Secret }

// leaks looks for a secret in what is printed.
type leaks struct {
	t       *testing.T
	needles []string
}

func lookFor(t *testing.T, secret string) leaks {
	h := hex.EncodeToString([]byte(secret))
	return leaks{t, []string{
		secret, h, strings.ToUpper(h), base64.StdEncoding.EncodeToString([]byte(secret)),
		strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
	}}
}

func (l leaks) in(what, text string) {
	l.t.Helper()
	for _, n := range l.needles {
		if strings.Contains(text, n) {
			l.t.Fatalf("%s shows the credentials: %s", what, text)
		}
	}
}

// by looks for the secret in v printed with any verb, as JSON and in logs.
func (l leaks) by(what string, v any) {
	l.t.Helper()
	for _, verb := range "vTtbcdoOqxXUeEfFgGspwz" {
		for _, flag := range []string{"", "+", "#", "0", "+#"} {
			format := "%" + flag + string(verb)
			l.in(what+" with "+format, fmt.Sprintf(format, v))
		}
	}
	l.in(what+" through fmt.Errorf", fmt.Errorf("%v %+v %#v", v, v, v).Error())
	if b, err := json.Marshal(v); err == nil {
		l.in(what+" as JSON", string(b))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
	l.in(what+" in a log", log.String())
}

// What Auth was given shows in nothing that is printed or encoded.
func TestAuthNeverShows(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	leak := lookFor(t, secret)
	if out := fmt.Sprintf("%q", []any{secret}); !strings.Contains(out, leak.needles[0]) {
		t.Fatal("the test would not see the secret in", out)
	}
	for _, v := range []any{secret, token{secret}, &token{secret}, []byte(secret)} {
		auth := Auth(v)
		leak.by("an Option", auth)
		leak.by("a pointer to an Option", &auth)
		leak.by("Options", []Option{Blocking, auth, setInt.Set(1)})
		leak.by("a struct of Options", struct {
			A Option
			B *Option
			C any
		}{auth, &auth, auth})
		if b, err := json.Marshal([]Option{auth, setInt.Set(1)}); err != nil || string(b) != `["Auth","Set(settings_test int)"]` {
			t.Errorf("an Option as JSON: %s, %v", b, err)
		}
		look := func(pin bool) func(ctx context.Context, fail int) (int, error) {
			return func(ctx context.Context, fail int) (int, error) {
				if pin {
					ctx.Done()
				}
				if _, ok := kernel.Auth(ctx).(string); ok && kernel.Auth(ctx) != secret {
					t.Errorf("the step sees %v", kernel.Auth(ctx))
				}
				leak.by("a context", ctx)
				leak.by("a derived context", kernel.WithMetadata(context.WithValue(ctx, ctxKey{}, 1), "k", "v"))
				d, cancel := context.WithCancel(ctx)
				defer cancel()
				leak.by("a cancellable context", d)
				switch fail {
				case 1:
					return 0, fmt.Errorf("the step failed: %v", ctx)
				case 2:
					panic(ctx)
				}
				return fail, nil
			}
		}
		m := Sequential(Func("a", look(false)), Func("b", look(true))).With(auth, Computing, Version("1"), Timeout(time.Hour))
		leak.by("a Module", m)
		leak.by("a Node", m.Node())
		e := must(t, m)
		leak.by("an Engine", e)
		leak.by("a plan", e.Plan())
		leak.by("a Program", e.Plan().Program())
		leak.by("an Info", e.Plan().Program().Ops[0].Info)
		leak.in("Explain", e.Explain())
		_, err := e.Plan().JSON()
		leak.by("the error of a plan", err)
		for fail := range 3 {
			var tr TraceHandle
			_, err := e.Call(t.Context(), fail, auth, Trace(&tr))
			leak.by("a trace", tr)
			if (fail > 0) != (err != nil) {
				t.Fatalf("call %d: %v", fail, err)
			}
			leak.by("an error", err)
			var p *kernel.PanicError
			if errors.As(err, &p) {
				leak.in("a stack", string(p.Stack))
			}
		}
		_, err = Compile(m, auth)
		leak.by("an error of Compile", err)
		_, err = e.Call(t.Context(), 1, auth, setInt.Set(1))
		leak.by("an error of a setting", err)
		plan := must(t, Plain("p", same[int]).With(Version("1"), auth)).Plan()
		b, err := plan.JSON()
		if err != nil {
			t.Fatal(err)
		}
		leak.in("the JSON of a plan", string(b))
	}
}
