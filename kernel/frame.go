package kernel

import (
	"context"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cells"
	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/sched"
)

const never = sched.NoBeat

// strand is one goroutine's way through the ops of a Frame. A branch is a program counter, so suspending
// one is an append.
type strand struct {
	frame    *Frame
	ctx      *Context
	pc       int32
	beat     uint32  // seen last
	want     uint32  // the beat to go on at, or never: something is to be done before the next step
	inside   bool    // in the loop or in a copy, where users' functions run
	boundary int64   // of a traced call: the last step boundary
	ready    []int32 // branches that can go on
	waits    waits   // branches that wait
	spread   *spread // of a branch that the crew may run; nil: the caller's own strand
	last     int32   // the op that ends it
}

// Frame is the memory of one call.
type Frame struct {
	engine *Engine
	sched  *sched.Sched
	slot   *slot // nil: made for one call
	layout *layout
	ops    []op
	in     unsafe.Pointer
	out    unsafe.Pointer
	result unsafe.Pointer // where the result is copied for the caller

	// The call.
	main        strand
	timed       bool // something can end the call early
	cancellable bool // the caller's ctx may be cancelled
	eager       bool // every step takes the slow path: traced, or invariants
	extra       bool // what only some calls use must be reset
	lost        bool // an abandoned run may still use the Frame
	parent      context.Context
	limits      []limit
	told        settings.Call

	trace    *TraceHandle
	began    int64      // start of the call
	tracing  sync.Mutex // appending to its Spans
	sampled  uint32     // the beat at which a call was sampled last
	waited   int64      // of a sampled call: ns without work
	sampling bool       // this call is

	cells   cells.Memory
	joins   []join
	spreads []spread // by Fork; nil unless the engine has found calls that are worth it
	catches []caught
	wake    chan *laneRun
	timer   *time.Timer
}

func (e *Engine) newFrame(s *slot) *Frame {
	p := e.prog
	f := &Frame{
		engine:  e,
		sched:   e.sched,
		slot:    s,
		eager:   invariants.On,
		limits:  make([]limit, len(p.Limits)),
		cells:   cells.New(p.Cells),
		catches: make([]caught, len(p.Catches)),
		wake:    make(chan *laneRun, p.Lanes),
	}
	f.main.frame, f.main.last = f, math.MaxInt32
	f.main.ctx = &Context{strand: &f.main}
	f.in, f.out = f.cells.At[p.In], f.cells.At[p.Out]
	if p.CopyOut != nil {
		f.result = p.Cells[p.Out].Type.New(0)
	}
	f.resolve()
	return f
}

// In is the input cell. The caller fills it between Start and Run.
func (f *Frame) In() unsafe.Pointer { return f.in }

// CopiesInput reports whether the input must be copied with CopyIn, because a run on the lane could
// outlive the call and read it.
func (f *Frame) CopiesInput() bool { return f.layout.lane && f.engine.prog.CopyIn != nil }

// CopyIn copies the input at src deeply to fresh memory at dst.
func (f *Frame) CopyIn(dst, src unsafe.Pointer) error {
	return f.copyValue(f.engine.prog.CopyIn, dst, src)
}

// Out is the output cell. Unless CopiesOutput, the value in it is the caller's.
func (f *Frame) Out() unsafe.Pointer { return f.out }

// CopiesOutput reports whether the output must be copied with CopyOut.
func (f *Frame) CopiesOutput() bool { return f.engine.prog.CopyOut != nil }

// Result is a cell of the output's type: CopyOut copies the output there, into what slices it finds.
func (f *Frame) Result() unsafe.Pointer { return f.result }

// CopyOut copies the output out of engine memory to Result.
func (f *Frame) CopyOut() error { return f.copyValue(f.engine.prog.CopyOut, f.result, f.out) }

// copyValue calls a copy, which may call a method of the user's: its panic becomes an error.
func (f *Frame) copyValue(deepCopy func(dst, src unsafe.Pointer), dst, src unsafe.Pointer) (err error) {
	f.main.inside = true
	defer func() {
		if !f.main.inside {
			return
		}
		if p := f.main.rescue(recover()); p != nil {
			err = f.fail(f.main.pc, p)
		}
	}()
	deepCopy(dst, src)
	f.main.inside = false
	return nil
}

// rescue deals with the end of a users' function that did not return: p is what it panicked with, nil if
// it called runtime.Goexit.
func (s *strand) rescue(p any) error {
	s.inside = false
	if p == nil {
		s.goexit()
		return nil
	}
	return &PanicError{p, debug.Stack()}
}

// goexit releases the Frame when this goroutine is leaving by runtime.Goexit: nobody else will. On a
// goroutine of the crew it fails the Parallel.
func (s *strand) goexit() {
	f := s.frame
	if s.spread != nil {
		s.spread.fail(f.fail(s.pc, ErrGoexit))
		s.renew()
		return
	}
	f.lost = true
	f.Release()
}

// callIDs numbers the calls, and their attempts, in which somebody asked for a step's id.
var callIDs atomic.Uint64

const stepBits = 20 // of a step id; the rest numbers the call

func (f *Frame) stepID(pc int32) uint64 {
	id := &f.catches[f.info(&f.ops[pc]).Retry].id
	if *id == 0 {
		*id = callIDs.Add(1) << stepBits
		f.use()
	}
	return *id | uint64(pc)
}

// Release gives the Frame back, or leaves it to the garbage collector if an abandoned run may still
// use it.
func (f *Frame) Release() {
	e, s := f.engine, f.slot
	if len(f.spreads) > 0 {
		f.sched.Leave()
	}
	if len(f.main.waits) > 0 {
		f.main.abandon(0, int32(len(f.ops)))
	}
	if f.lost {
		if f.main.ctx.state.Load() == pinned {
			f.main.ctx.end()
		}
		if s != nil {
			s.frame = nil
		}
	} else if f.clean(); s == nil {
		e.spare.Put(f)
	}
	if s != nil {
		s.word.Add(1)
	} else {
		e.calls.Add(1)
		e.overflow.Add(-1)
	}
	if e.closed.Load() {
		e.leave()
	}
}

// clean makes a Frame fit for the next call.
func (f *Frame) clean() {
	if f.main.ctx.state.Load() != unpinned || invariants.On {
		f.main.renew()
	}
	f.parent = nil // it keeps the caller's ctx alive
	if f.extra {
		f.extra = false
		f.eager = invariants.On
		f.trace = nil
		f.told.Reset()
		clear(f.catches)
		f.main.ready = f.main.ready[:0]
	}
	f.cells.Clean()
}

// use notes that there is something for clean to do. It only reads once that is known: strands call it.
func (f *Frame) use() {
	if !f.extra {
		f.extra = true
	}
}

// renew leaves a pinned context to whoever keeps it.
func (s *strand) renew() {
	if s.ctx.state.Load() == unpinned {
		s.ctx.state.Store(dead) // invariants
	} else {
		s.ctx.end()
	}
	s.ctx = &Context{strand: s}
}
