package kernel

import (
	"context"
	"errors"
	"slices"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/sched"
)

// Run runs the program on the caller's goroutine. On a nil error the result is in Out.
func (f *Frame) Run() error {
	if f.trace != nil || f.sampling {
		return f.runObserved()
	}
	return f.main.run(0)
}

func (f *Frame) runObserved() error {
	f.sampled, f.waited, f.began = f.main.beat, 0, f.sched.Now()
	f.main.boundary = f.began
	err := f.main.run(0)
	if f.sampling {
		f.engine.sample(f.sched.Now() - f.began - f.waited)
	}
	if f.trace != nil {
		f.main.abandon(0, int32(len(f.ops))) // their spans are part of the call
		f.trace.Start, f.trace.Parent = f.sched.Time(f.began), StepID(f.parent)
		f.trace.Duration = time.Duration(f.sched.Now() - f.began)
	}
	return err
}

// run runs the ops from pc on to the end of the strand.
func (s *strand) run(pc int32) (err error) {
	pc, err = s.guard(pc)
	for pc >= 0 { // a panic that something catches: its siblings go on
		pc, err = s.guard(pc)
	}
	return err
}

// guard runs the loop from pc on. A panic of a step becomes an error; it returns where to go on, -1 if
// the call is over. recover is not free, so it is called only when the loop did not end by itself.
func (s *strand) guard(pc int32) (next int32, err error) {
	f := s.frame
	s.inside = true
	defer func() {
		if !s.inside {
			return
		}
		if p := s.rescue(recover()); p != nil {
			var o *op
			next = -1
			if o, err = s.stepFailed(s.pc, s.boundary, p); o != nil {
				next = o.pc
			}
		}
	}()
	err = s.loop(&f.ops[pc])
	s.inside = false
	return -1, err
}

// loop walks the ops. It makes three tests a step, two before it and its error; what is rare makes one
// of them fail: a beat of the clock, tracing or a pinned context the first (through s.want), an op that
// is no step the last (through noStep).
func (s *strand) loop(o *op) error {
	clock := s.frame.sched.Beat()
	for {
		var err error // not kept from step to step, which costs moves
		if clock.Load() == s.want {
			s.pc = o.pc
			if err = o.run(s.ctx, o.in, o.out); err == nil {
				o = (*op)(unsafe.Add(unsafe.Pointer(o), unsafe.Sizeof(*o))) // an OpEnd ends the array
				continue
			}
			if o.kind == OpEnd && clock.Load() == s.want {
				return nil
			}
		}
		if o, err = s.rare(o, err); o == nil {
			return err
		}
	}
}

// errNoStep stops the loop at an op that is no step.
var errNoStep = errors.New("no step")

func noStep(*Context, unsafe.Pointer, unsafe.Pointer) error { return errNoStep }

// rare deals with what stopped the loop at o, and runs o if it is still to run. It returns the op to go
// on with, nil if the call is over.
func (s *strand) rare(o *op, err error) (*op, error) {
	f := s.frame
	if err != nil && err != errNoStep {
		return s.stepFailed(o.pc, s.boundary, err)
	}
	if s.ctx.state.Load() != unpinned || invariants.On {
		s.renew()
	}
	if f.sched.Beat().Load() != s.beat && err == nil {
		if next, err := s.onBeat(o); next != o {
			return next, err
		}
	}
	if s.want = s.beat; f.eager {
		s.want = never
	}
	if o.kind == OpEnd {
		return nil, nil
	}
	return s.exec(o)
}

// onBeat is the slow path of the poll: the clock has made a beat, or stands still. It returns o if the
// call goes on there.
func (s *strand) onBeat(o *op) (*op, error) {
	f := s.frame
	if s.spread != nil && s.spread.failed.Load() {
		return nil, errStopped
	}
	if !f.timed {
		s.beat = f.sched.Beat().Load()
		return o, nil
	}
	was := s.beat
	s.beat = f.sched.Begin()
	if last := &f.ops[s.pc]; s.beat-was > 1 && last.kind == OpStep {
		f.engine.ranSlow(f.info(last))
	}
	if err := f.parent.Err(); err != nil {
		pc := o.pc // what does not run any more
		if o.kind == OpEnd || err == context.DeadlineExceeded {
			pc = s.pc // what overran
			s.spanLate(err)
		}
		return nil, f.fail(pc, err)
	}
	now := f.sched.Now()
	if f.deadline(f.info(o)) <= now {
		s.spanLate(context.DeadlineExceeded)
		next, err := s.late(o, s.pc)
		s.beat-- // the branches that are left must ask, too, before they go on
		return next, err
	}
	return o, nil
}

// late ends the call, or the WaitAll branch or attempt that o is in, because a limit round o is over and
// the step at pc overran it.
func (s *strand) late(o *op, pc int32) (*op, error) {
	f := s.frame
	err := f.fail(pc, context.DeadlineExceeded)
	if f.limits[0].due(f.sched) <= f.sched.Now() { // the call's own: there is nothing to go on with
		return nil, err
	}
	return s.caughtBy(f.info(o).Catch, err)
}

// exec runs o, of any kind.
func (s *strand) exec(o *op) (*op, error) {
	f := s.frame
	f.use()
	next := o.pc + 1
	switch o.kind {
	case OpStep:
		return s.step(o)
	case opLane:
		return s.blockingStep(o)
	case OpDelay:
		now := f.sched.Now()
		return s.wait(o.pc, now, sched.Add(now, f.engine.prog.Ops[o.of].Wait), f.deadline(f.info(o)), nil)
	case OpEnter:
		f.limits[o.n] = s.startLimit(f.engine.prog.Limits[o.n])
	case OpFork:
		j := &f.joins[o.n]
		next = j.starts[0]
		j.open = int32(len(j.starts))
		s.ready, s.waits = slices.Grow(s.ready, len(j.starts)), slices.Grow(s.waits, len(j.starts))
		for i := len(j.starts) - 1; i > 0; i-- {
			s.ready = append(s.ready, j.starts[i])
		}
	case OpJoin:
		j := &f.joins[o.n]
		if j.open--; j.open > 0 {
			return s.next()
		}
		next = j.end // the last branch goes on as the parent
	case opSpread:
		return s.spreadOut(o)
	case opBranchEnd:
		if o.in == unsafe.Pointer(s) {
			return nil, nil
		}
	case OpTry:
		f.catches[o.n] = caught{}
	case OpRetry:
		return s.retry(o)
	case OpRaise:
		if err := f.firstCaught(int(o.n)); err != nil {
			return s.caughtBy(f.info(o).Catch, err)
		}
	case OpBranch:
		if !*(*bool)(o.in) {
			next = o.n
		}
	case OpJump:
		next = o.n
	case OpMove:
		f.move(o)
	}
	return &f.ops[next], nil
}

// move moves the value of an OpDelay or OpMove.
func (f *Frame) move(o *op) {
	f.engine.prog.Cells[f.engine.prog.Ops[o.of].Out].Type.Move(o.out, o.in)
}

// step runs a step on the slow path.
func (s *strand) step(o *op) (*op, error) {
	f := s.frame
	s.pc = o.pc
	if f.trace == nil {
		if err := f.engine.prog.Ops[o.of].Run(s.ctx, o.in, o.out); err != nil {
			return s.stepFailed(o.pc, 0, err)
		}
		return &f.ops[o.pc+1], nil
	}
	start := s.boundary
	if err := f.engine.prog.Ops[o.of].Run(s.ctx, o.in, o.out); err != nil {
		return s.stepFailed(o.pc, start, err)
	}
	s.span(o.pc, start, nil)
	return &f.ops[o.pc+1], nil
}

// stepFailed deals with the error of the step at pc: the call ends, or the WaitAll branch round it.
func (s *strand) stepFailed(pc int32, start int64, err error) (*op, error) {
	f := s.frame
	if f.trace != nil {
		s.span(pc, start, err)
	}
	if s.ctx.state.Load() != unpinned {
		s.renew()
	}
	return s.caughtBy(f.info(&f.ops[pc]).Catch, f.fail(pc, err))
}

// fail says where err happened.
func (f *Frame) fail(pc int32, err error) error { return &StepError{f.info(&f.ops[pc]).Path, err} }

// caughtBy notes err at its Catch and returns the op there, or ends the call.
func (s *strand) caughtBy(catch int, err error) (*op, error) {
	f := s.frame
	if catch == 0 {
		return nil, err
	}
	c := f.engine.prog.Catches[catch]
	from, to := f.layout.target[c.Begin], f.layout.target[c.End]
	if to > s.last { // the Parallel round this branch is in there, too
		return nil, err
	}
	f.use()
	f.catches[catch].err = err
	s.abandon(from, to)
	s.ready = slices.DeleteFunc(s.ready, func(pc int32) bool { return from <= pc && pc < to })
	return &f.ops[to], nil
}

// firstCaught returns the error of the first branch, by index, that failed, and forgets them all.
func (f *Frame) firstCaught(fork int) (err error) {
	k := &f.engine.prog.Forks[fork]
	for i := range k.Starts {
		if c := &f.catches[k.Catch+i]; err == nil {
			err = c.err
		}
		f.catches[k.Catch+i].err = nil
	}
	return err
}
