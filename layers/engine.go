package layers

import (
	"context"
	"unsafe"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// Engine runs a compiled Module. It is safe for concurrent use.
type Engine[I, O any] struct {
	kernel *kernel.Engine
	plan   *graph.WorkflowPlan
	free   chan *started[O]
}

// Stats is a snapshot of an engine.
type Stats = kernel.Stats

// Compile turns m into an Engine. It takes On and MaxBlocking. Its errors, *graph.CompileError and
// *kernel.SettingError, name the module and the setting.
func Compile[I, O any](m Module[I, O], opts ...Option) (*Engine[I, O], error) {
	plan, err := graph.Compile(m.node)
	if err != nil {
		return nil, err
	}
	s, maxBlocking, spread := (*sched.Sched)(nil), 0, false
	for _, o := range opts {
		switch o.Kind {
		case settings.OptOn:
			s, _ = o.Any.(*sched.Sched)
		case settings.OptMaxBlocking:
			if maxBlocking = int(o.Word); maxBlocking < 1 {
				return nil, &kernel.SettingError{Setting: o.Kind.String(), Reason: "must be positive"}
			}
		case settings.OptSpread:
			spread = true
		default:
			return nil, &kernel.SettingError{Setting: o.Kind.String(), Reason: "is no setting of Compile"}
		}
	}
	if s == nil {
		s = sched.Default()
	}
	e := kernel.NewEngine(plan.Program(), s, maxBlocking)
	if spread {
		e.SpreadAlways()
	}
	return &Engine[I, O]{e, plan, make(chan *started[O], freeStarted)}, nil
}

// Call runs the Module on in. An error is a *kernel.StepError with the path of the step that failed,
// kernel.ErrClosed, or a *kernel.SettingError about opts.
//
// Cost: what the steps allocate, and a copy of the result where it would point into engine memory.
func (e *Engine[I, O]) Call(ctx context.Context, in I, opts ...Option) (out O, err error) {
	err = e.CallInto(ctx, in, &out, opts...)
	return out, err
}

// CallInto is Call with the caller's memory: the slices that *out holds are used again up to their
// capacity, so they must not overlap. On an error *out is unchanged.
//
// Cost: no allocation of its own once warm. A step on the lane costs four, and the copy of an input that
// holds slices.
func (e *Engine[I, O]) CallInto(ctx context.Context, in I, out *O, opts ...Option) error {
	f, err := e.kernel.Start(ctx, opts)
	if err != nil {
		return err
	}
	if f.CopiesInput() {
		in, err = copyIn(f, in)
	}
	if err == nil {
		*(*I)(f.In()) = in
		err = f.Run()
	}
	switch {
	case err != nil:
	case f.CopiesOutput():
		err = copyOut(f, out)
	default:
		*out = *(*O)(f.Out())
	}
	f.Release()
	return err
}

// copyIn copies in to fresh memory, because the result may hold part of it.
func copyIn[I any](f *kernel.Frame, in I) (I, error) {
	own, from := new(I), in
	err := f.CopyIn(unsafe.Pointer(own), unsafe.Pointer(&from))
	return *own, err
}

// copyOut copies the result to what out points to, by way of a cell, so that out does not escape.
func copyOut[O any](f *kernel.Frame, out *O) error {
	result := (*O)(f.Result())
	*result = *out
	err := f.CopyOut()
	if err == nil {
		*out = *result
	}
	*result = *new(O)
	return err
}

// Plan returns what Compile made: its JSON and, if every step has a name and version, its hash.
func (e *Engine[I, O]) Plan() *graph.WorkflowPlan { return e.plan }

// Explain returns the program as readable text.
func (e *Engine[I, O]) Explain() string { return e.plan.Explain() }

// Stats returns a snapshot.
func (e *Engine[I, O]) Stats() Stats { return e.kernel.Stats() }

// Close refuses new calls and waits for those inside, not for abandoned runs: its error counts them.
// It may be called again.
func (e *Engine[I, O]) Close() error { return e.kernel.Close() }

// Shutdown is Close with a bound: it returns a *kernel.ShutdownError when ctx is done first.
func (e *Engine[I, O]) Shutdown(ctx context.Context) error { return e.kernel.Shutdown(ctx) }
