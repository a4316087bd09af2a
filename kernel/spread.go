package kernel

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"github.com/maida-ai/gomai/internal/placement"
)

// sample notes how long a call computed. Once per beat and Frame is enough to know whether calls are long
// enough for a Parallel to gain by the crew; as long as they are not, they have no op for it.
func (e *Engine) sample(took int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.spreads.Load()
	is := (e.worth.Sample(took) || e.always) && e.sched.Crew() > 0
	if is != was {
		e.spreads.Store(is)
		e.mode.Add(1)
	}
}

// spread is a Parallel of which the crew may run branches that cannot suspend.
type spread struct {
	profit   *placement.Profit // shared by the Frames of the engine
	branches []strand          // of the goroutine that runs one: strands stay in its cache from call to call
	starts   []int32
	end      int32 // where the Frame goes on

	calls      uint32
	pc         int32 // of the strand that spreads
	beat, want uint32
	failed     atomic.Bool
	err        error // of the branch that failed first
}

// spreadOp is the Step of an opSpread. Most often there is nothing to be gained, and it is a step that
// does nothing: the branches follow it in the array.
func spreadOp(_ *Context, in, _ unsafe.Pointer) error {
	p := (*spread)(in)
	if !p.profit.Stays(p.calls) {
		return errNoStep
	}
	p.calls++
	return nil
}

// branchEnd is the Step of an opBranchEnd: it ends the strand that runs just this branch.
func branchEnd(c *Context, in, _ unsafe.Pointer) error {
	if c.strand == (*strand)(in) {
		return errNoStep
	}
	return nil
}

// errStopped ends a branch because another one has failed.
var errStopped = errors.New("stopped")

// spreadOut runs an opSpread.
func (s *strand) spreadOut(o *op) (*op, error) {
	f, p := s.frame, (*spread)(o.in)
	s.pc = o.pc
	start := f.sched.Now()
	f.deadline(f.info(o)) // these two write; branches must find it done
	f.stepID(o.pc)
	p.pc, p.beat, p.want, p.err = o.pc, s.beat, s.want, nil
	p.failed.Store(false)
	wake := p.profit.Wake(p.calls, len(p.branches), f.sched.Helpers(), f.sched.Busy(), s.beat)
	p.calls++
	if wake != placement.Stay && f.sched.Spread(p, len(p.branches), wake) {
		f.engine.spread.Add(1)
	} else {
		wake = placement.Stay
		for i := range p.branches {
			p.Run(i)
		}
	}
	s.boundary = f.sched.Now()
	p.profit.Learn(s.boundary-start, wake, s.beat)
	if p.err != nil {
		return s.caughtBy(f.info(o).Catch, p.err)
	}
	return &f.ops[p.end], nil
}

// Run runs branch i, on any goroutine.
func (p *spread) Run(i int) {
	if p.failed.Load() {
		return
	}
	s := &p.branches[i]
	s.pc, s.beat, s.want = p.pc, p.beat, p.want
	if s.frame.trace != nil {
		s.boundary = s.frame.sched.Now()
	}
	if err := s.run(p.starts[i]); err != nil {
		p.fail(err)
	}
}

func (p *spread) fail(err error) {
	if p.failed.CompareAndSwap(false, true) {
		p.err = err
	}
}
