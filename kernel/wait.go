package kernel

import (
	"context"
	"math"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/sched"
)

// waiting is a suspended branch.
type waiting struct {
	pc       int32
	start    int64
	at       int64 // when a delay is over
	deadline int64
	run      *laneRun // nil: a delay
}

// laneRun is one run of a step on the lane. It shares its cells with the Frame, so a Frame under an
// abandoned run is never used again.
type laneRun struct {
	engine  *Engine
	step    Step
	in, out unsafe.Pointer
	ctx     *Context
	pc      int32
	wake    chan *laneRun
	state   atomic.Uint32
	err     error
}

const (
	runActive = iota
	runAbandoned
	runDone
)

// blockingStep runs o on the lane, or on the caller when nobody would gain from the lane: without a
// deadline, a ctx that can be cancelled, and a Parallel round it.
func (f *Frame) blockingStep(o *op) (*op, error) {
	f.pc = o.pc
	if err := f.parent.Err(); err != nil {
		return nil, f.fail(o.pc, err)
	}
	deadline := f.deadline(o.info)
	start := f.sched.Now()
	if deadline <= start {
		return f.late(o, o.pc)
	}
	ctx := &Context{frame: f, view: f.snapshot(o.pc)}
	ctx.state.Store(pinned)
	if deadline == noDeadline && !f.cancellable && !o.info.Forked {
		f.ctx = ctx
		err := o.do(ctx, o.in, o.out)
		f.engine.ranOnLane(o.info, f.sched.Now()-start)
		f.renew()
		if err != nil {
			return f.stepFailed(o.pc, start, err)
		}
		if f.trace != nil {
			f.span(o.pc, start, nil)
		}
		return &f.ops[o.pc+1], nil
	}
	r := &laneRun{
		engine: f.engine, step: o.do, in: o.in, out: o.out, ctx: ctx, pc: o.pc, wake: f.wake,
	}
	if err := f.engine.submit(r); err != nil {
		return f.stepFailed(o.pc, start, err)
	}
	f.waits = append(f.waits, waiting{pc: o.pc, start: start, at: math.MaxInt64, deadline: deadline, run: r})
	if f.trace != nil {
		f.boundary = f.sched.Now() // what comes next did not begin earlier
	}
	return f.next()
}

// submit hands r to the lane.
func (e *Engine) submit(r *laneRun) error {
	if n := e.onLane.Add(1); e.maxOnLane > 0 && n > e.maxOnLane {
		e.onLane.Add(-1)
		return sched.ErrOverloaded
	}
	err := e.sched.Go(r)
	if err != nil {
		e.onLane.Add(-1)
	}
	return err
}

// Run is what a goroutine of the lane does.
func (r *laneRun) Run() {
	start := r.engine.sched.Now()
	r.err = ErrGoexit
	defer func() {
		if p := recover(); p != nil {
			r.err = &PanicError{p, debug.Stack()}
		}
		r.engine.ranOnLane(r.ctx.step, r.engine.sched.Now()-start)
		r.ctx.end()
	}()
	r.err = r.step(r.ctx, r.in, r.out)
}

// Over tells the caller, unless it has left, once the goroutine is free again: its next blocking step
// must not find the lane full because of this one.
func (r *laneRun) Over() {
	e := r.engine
	e.onLane.Add(-1)
	if r.state.CompareAndSwap(runActive, runDone) {
		r.wake <- r
	} else {
		e.abandoned.Add(-1)
	}
}

// next returns the op to go on with when a branch is suspended or has ended: of a branch that is
// ready, or of the first whose wait is over.
func (f *Frame) next() (*op, error) {
	if n := len(f.ready); n > 0 {
		pc := f.ready[n-1]
		f.ready = f.ready[:n-1]
		return &f.ops[pc], nil
	}
	for {
		now, until := f.sched.Now(), int64(math.MaxInt64)
		due := -1
		for i := range f.waits {
			w := &f.waits[i]
			if w.deadline <= now {
				return f.expired(i)
			}
			if w.at <= now && (due < 0 || w.at < f.waits[due].at) {
				due = i
			}
			until = min(until, w.at, w.deadline)
		}
		if due >= 0 {
			return f.delayOver(due)
		}
		var over <-chan time.Time
		if until != math.MaxInt64 {
			over = f.wakeAt(until - now)
		}
		var done *laneRun
		select {
		case done = <-f.wake:
		case <-over:
		case <-f.parent.Done():
			pc, err := f.waits[0].pc, f.parent.Err()
			f.leave(0, err)
			return nil, f.fail(pc, err)
		}
		if over != nil {
			f.timer.Stop()
		}
		if f.beat = f.sched.Beat().Load(); f.timed {
			f.beat = f.sched.Begin() // the time that passed was no step's
		}
		if done == nil {
			continue
		}
		if next, err := f.laneOver(done); next != nil || err != nil {
			return next, err
		}
	}
}

func (f *Frame) wakeAt(ns int64) <-chan time.Time {
	if f.timer == nil {
		f.timer = time.NewTimer(time.Duration(ns))
	} else {
		f.timer.Reset(time.Duration(ns))
	}
	return f.timer.C
}

// expired ends the wait i because its deadline is over.
func (f *Frame) expired(i int) (*op, error) {
	pc := f.waits[i].pc
	f.leave(i, context.DeadlineExceeded)
	return f.late(&f.ops[pc], pc)
}

// delayOver ends the delay i.
func (f *Frame) delayOver(i int) (*op, error) {
	w := f.waits[i]
	f.drop(i)
	o := &f.ops[w.pc]
	f.pc = o.pc
	f.move(o)
	if f.trace != nil {
		f.span(w.pc, w.start, nil)
	}
	return &f.ops[w.pc+1], nil
}

// laneOver ends the wait for r. It returns nil, nil if nobody waits for it any more.
func (f *Frame) laneOver(r *laneRun) (*op, error) {
	for i := range f.waits {
		w := f.waits[i]
		if w.run != r {
			continue
		}
		if w.deadline <= f.sched.Now() { // it came too late
			return f.expired(i)
		}
		f.drop(i)
		f.pc = r.pc
		if r.err != nil {
			return f.stepFailed(r.pc, w.start, r.err)
		}
		if f.trace != nil {
			f.span(r.pc, w.start, nil)
		}
		return &f.ops[r.pc+1], nil
	}
	return nil, nil
}

func (f *Frame) drop(i int) {
	last := len(f.waits) - 1
	f.waits[i] = f.waits[last]
	f.waits[last] = waiting{}
	f.waits = f.waits[:last]
}

// abandon leaves the waits of the ops in [from, to) alone. Their contexts are cancelled; runs on the
// lane go on by themselves.
func (f *Frame) abandon(from, to int32) {
	for i := len(f.waits) - 1; i >= 0; i-- {
		if pc := f.waits[i].pc; from <= pc && pc < to {
			f.leave(i, ErrAbandoned)
		}
	}
}

// leave gives up the wait i because of err.
func (f *Frame) leave(i int, err error) {
	w := f.waits[i]
	f.drop(i)
	if f.trace != nil {
		f.span(w.pc, w.start, err)
	}
	if w.run == nil {
		return
	}
	f.lost = true // even if it is done: it has sent itself to f.wake
	f.engine.abandoned.Add(1)
	if !w.run.state.CompareAndSwap(runActive, runAbandoned) {
		f.engine.abandoned.Add(-1)
	}
	if f.sched.Now() < w.deadline { // afterwards its own deadline ends it, and says so
		w.run.ctx.end()
	}
}
