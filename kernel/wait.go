package kernel

import (
	"container/heap"
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
	pc    int32
	late  bool // it ends because a limit is over
	start int64
	end   int64
	run   *laneRun // nil: a delay, or the wait of a Retry
}

// waits is a heap: the first ends first.
type waits []waiting

func (w waits) Len() int      { return len(w) }
func (w waits) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waits) Push(x any)   { *w = append(*w, x.(waiting)) }

func (w waits) Less(i, j int) bool {
	a, b := w[i].end, w[j].end
	return a < b || a == b && w[i].pc < w[j].pc
}

func (w *waits) Pop() any {
	last := len(*w) - 1
	(*w)[last] = waiting{}
	*w = (*w)[:last]
	return nil // what it was costs an allocation
}

// wait suspends the branch at pc until at or the deadline, whichever comes first, and goes on with another.
func (s *strand) wait(pc int32, start, at, deadline int64, run *laneRun) (*op, error) {
	s.waits = append(s.waits, waiting{pc, deadline <= at, start, min(at, deadline), run})
	heap.Fix(&s.waits, len(s.waits)-1)
	return s.next()
}

// laneRun is one run of a step on the lane. It shares its cells with the Frame, so a Frame under an
// abandoned run is never used again.
type laneRun struct {
	engine  *Engine
	step    Step
	in, out unsafe.Pointer
	ctx     *Context
	wake    chan *laneRun
	state   atomic.Uint32
	ended   int64
	heard   bool // the caller has received it from wake
	err     error
}

const (
	runActive = iota
	runAbandoned
	runDone
)

// blockingStep runs o on the lane, or on the caller when nobody would gain from the lane: without a
// deadline, a ctx that can be cancelled, and a Parallel round it.
func (s *strand) blockingStep(o *op) (*op, error) {
	f := s.frame
	s.pc = o.pc
	if err := f.parent.Err(); err != nil {
		return nil, f.fail(o.pc, err)
	}
	deadline := f.deadline(f.info(o))
	start := f.sched.Now()
	if deadline <= start {
		return s.late(o, o.pc)
	}
	ctx := &Context{strand: s, view: f.snapshot(o.pc)}
	ctx.state.Store(pinned)
	if deadline == noDeadline && !f.cancellable && !f.info(o).Forked {
		s.ctx = ctx
		err := f.engine.prog.Ops[o.of].Run(ctx, o.in, o.out)
		f.engine.ranOnLane(f.info(o), f.sched.Now()-start)
		s.renew()
		if err != nil {
			return s.stepFailed(o.pc, start, err)
		}
		if f.trace != nil {
			s.span(o.pc, start, nil)
		}
		return &f.ops[o.pc+1], nil
	}
	r := &laneRun{engine: f.engine, step: f.engine.prog.Ops[o.of].Run, in: o.in, out: o.out, ctx: ctx, wake: f.wake}
	if err := f.engine.submit(r); err != nil {
		return s.stepFailed(o.pc, start, err)
	}
	if f.trace != nil {
		s.boundary = f.sched.Now() // what comes next did not begin earlier
	}
	return s.wait(o.pc, start, math.MaxInt64, deadline, r) // runOver says when
}

// submit hands r to the lane.
func (e *Engine) submit(r *laneRun) error {
	err := sched.ErrOverloaded
	if n := e.onLane.Add(1); e.maxOnLane == 0 || n <= e.maxOnLane {
		err = e.sched.Go(r)
	}
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
		r.ended = r.engine.sched.Now()
		r.engine.ranOnLane(r.ctx.step, r.ended-start)
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
func (s *strand) next() (*op, error) {
	f := s.frame
	if n := len(s.ready); n > 0 {
		pc := s.ready[n-1]
		s.ready = s.ready[:n-1]
		return &f.ops[pc], nil
	}
	for {
		for len(f.wake) > 0 {
			s.runOver(<-f.wake)
		}
		now, until := f.sched.Now(), s.waits[0].end
		if until <= now {
			return s.waitOver(now)
		}
		var over <-chan time.Time
		if until != math.MaxInt64 {
			over = f.wakeAt(until - now)
		}
		select {
		case r := <-f.wake:
			s.runOver(r)
		case <-over:
		case <-f.parent.Done():
			w, err := s.waits[0], f.parent.Err()
			heap.Pop(&s.waits)
			s.leave(w, err)
			return nil, f.fail(w.pc, err)
		}
		if over != nil {
			f.timer.Stop()
		}
		f.waited += f.sched.Now() - now
		if s.beat = f.sched.Beat().Load(); f.timed {
			s.beat = f.sched.Begin() // the time that passed was no step's
		}
	}
}

// runOver notes when the wait for r was over, if somebody still waits for it.
func (s *strand) runOver(r *laneRun) {
	r.heard = true
	for i := range s.waits {
		if w := &s.waits[i]; w.run == r && r.ended < w.end {
			w.end, w.late = r.ended, false
			heap.Fix(&s.waits, i)
			return
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

// waitOver ends the first wait. Whether it was in time is a matter of its own end, not of now: its caller may
// have computed in a sibling meanwhile.
func (s *strand) waitOver(now int64) (*op, error) {
	f := s.frame
	w := s.waits[0]
	o := &f.ops[w.pc]
	heap.Pop(&s.waits)
	if w.late {
		s.leave(w, context.DeadlineExceeded)
		return s.late(o, w.pc)
	}
	s.pc = w.pc
	next := &f.ops[w.pc+1]
	if o.kind == OpRetry {
		next, s.boundary = &f.ops[f.layout.target[f.engine.prog.Catches[o.n].Begin]], now
	} else if w.run == nil {
		f.move(o)
	} else if w.run.err != nil {
		return s.stepFailed(w.pc, w.start, w.run.err)
	}
	if f.trace != nil && o.kind != OpRetry {
		s.span(w.pc, w.start, nil)
	}
	if f.deadline(f.info(o)) <= now { // what follows within the same limit is late
		for next.kind == OpExit {
			next = &f.ops[next.pc+1]
		}
		s.beat--
		s.want = never
	}
	return next, nil
}

// abandon leaves the waits of the ops in [from, to) alone. Their contexts are cancelled; runs on the
// lane go on by themselves.
func (s *strand) abandon(from, to int32) {
	all, kept := s.waits, 0
	for i := range all {
		if pc := all[i].pc; pc < from || pc >= to {
			all.Swap(i, kept)
			kept++
		}
	}
	s.waits = all[:kept]
	heap.Init(&s.waits)
	for _, w := range all[kept:] {
		s.leave(w, ErrAbandoned)
	}
	clear(all[kept:])
}

// leave gives up w, which is no longer among the waits, because of err.
func (s *strand) leave(w waiting, err error) {
	f := s.frame
	if f.trace != nil {
		s.span(w.pc, w.start, err)
	}
	if w.run == nil {
		return
	}
	f.engine.abandoned.Add(1)
	if w.run.state.CompareAndSwap(runActive, runAbandoned) {
		f.lost = true
	} else {
		f.engine.abandoned.Add(-1)
		for !w.run.heard { // it tells us at this moment: who waits next must not find it
			s.runOver(<-f.wake)
		}
	}
	if f.sched.Now() < w.run.ctx.deadline { // afterwards its own deadline ends it, and says so
		w.run.ctx.end()
	}
}
