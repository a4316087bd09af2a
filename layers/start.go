package layers

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/maida-ai/gomai/kernel"
)

// ErrDone is returned by Wait if its Pending was waited for before, or is waited for by somebody else at
// this moment, or is the zero value.
var ErrDone = errors.New("the Pending is zero, or was waited for already")

// freeStarted bounds an engine's free list of started calls.
const freeStarted = 64

// Pending is a call under way, or over, whose result somebody may wait for. It is a small value to be
// copied; of all copies one gets the result.
type Pending[O any] struct {
	call       *started[O]
	generation uint64
	err        error // why there is no call
}

// started is the memory of a call that was started. It is used again once somebody has waited for it.
type started[O any] struct {
	frame *kernel.Frame
	out   O
	err   error
	free  chan *started[O] // the engine's free list
	word  atomic.Uint64    // the generation, which is even; odd: somebody waits
	over  chan struct{}    // holds a token once out and err are there
}

// Start begins a call and returns at once: the call runs on a goroutine of the scheduler, and Wait has
// its result or error. Deadlines count from Start. in must not change until the call is over. A call
// started in a step is cancelled when the step ends.
//
// Nobody has to wait: the result of such a call is left to the garbage collector. Close waits for the
// call all the same.
//
// Cost: no allocation of its own once warm.
func (e *Engine[I, O]) Start(ctx context.Context, in I, opts ...Option) Pending[O] {
	kernel.Keep(ctx)
	f, err := e.kernel.Start(ctx, opts)
	if err != nil {
		return Pending[O]{err: err}
	}
	if f.CopiesInput() {
		if in, err = copyIn(f, in); err != nil {
			f.Release()
			return Pending[O]{err: err}
		}
	}
	*(*I)(f.In()) = in
	var s *started[O]
	select {
	case s = <-e.free:
	default:
		s = &started[O]{free: e.free, over: make(chan struct{}, 1)}
	}
	s.frame = f
	p := Pending[O]{call: s, generation: s.word.Load()}
	if err := e.kernel.Spawn(s); err != nil {
		f.Release()
		return Pending[O]{err: err}
	}
	return p
}

// Run is what the scheduler's goroutine does.
func (s *started[O]) Run() {
	f := s.frame
	s.err = kernel.ErrGoexit // unless it gets to the next line
	s.err = f.Run()
	switch {
	case s.err != nil:
	case f.CopiesOutput():
		s.err = copyOut(f, &s.out)
	default:
		s.out = *(*O)(f.Out())
	}
	f.Release()
}

// Over tells who waits.
func (s *started[O]) Over() {
	s.frame = nil
	s.over <- struct{}{}
}

// Wait returns what the call returned, as Call does, once it is over. If ctx is done first it returns
// ctx's error, and the call goes on: Wait may be called again. ctx bounds the waiting alone; what
// cancels the call is the ctx and the options that Start was given.
//
// Cost: no allocation, apart from ctx's own.
func (p Pending[O]) Wait(ctx context.Context) (out O, err error) {
	s := p.call
	if s == nil && p.err != nil {
		return out, p.err
	}
	if s == nil || !s.word.CompareAndSwap(p.generation, p.generation+1) {
		return out, ErrDone
	}
	var done <-chan struct{}
	if ctx != nil {
		done = ctx.Done()
	}
	select {
	case <-s.over:
	default:
		select {
		case <-s.over:
		case <-done:
			s.word.Store(p.generation)
			return out, ctx.Err()
		}
	}
	out, err = s.out, s.err
	s.out, s.err = *new(O), nil
	s.word.Store(p.generation + 2)
	select {
	case s.free <- s:
	default:
	}
	return out, err
}
