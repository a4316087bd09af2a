package kernel

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/invariants"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/sched"
)

const never = sched.NoBeat

// op is an Op resolved for one Frame: cells are pointers and targets indices in Frame.ops.
type op struct {
	run     Step // do, or noStep for what is no step
	in, out unsafe.Pointer
	do      Step
	kind    OpKind
	n, pc   int32
	info    *Info
}

// join counts the branches of a Fork that are still under way.
type join struct {
	starts []int32
	end    int32
	open   int32
}

// strand is one goroutine's way through the ops of a Frame. A branch is a program counter, so suspending
// one is an append.
type strand struct {
	frame    *Frame
	pc       int32
	beat     uint32 // seen last
	want     uint32 // the beat to go on at, or never: something is to be done before the next step
	inside   bool   // in the loop or in a copy, where users' functions run
	ctx      *Context
	boundary int64     // of a traced call: the last step boundary
	ready    []int32   // branches that can go on
	waits    []waiting // branches that wait
}

// Frame is the memory of one call.
type Frame struct {
	engine *Engine
	sched  *sched.Sched
	slot   *slot // nil: made for one call
	ops    []op
	in     unsafe.Pointer
	out    unsafe.Pointer
	result unsafe.Pointer // where the result is copied for the caller
	mode   uint32         // of the engine when ops were resolved
	lane   bool           // some op goes to the lane
	dirty  bool           // some cell must be cleaned after a call

	// The call.
	main        strand
	timed       bool // something can end the call early
	cancellable bool // the caller's ctx may be cancelled
	eager       bool // every step takes the slow path: traced, or invariants
	extra       bool // what only some calls use must be reset
	lost        bool // an abandoned run may still use the Frame
	parent      context.Context
	limits      []limit
	set         []settings.Setting
	meta        []settings.Pair
	auth        *settings.Credentials
	id          uint64 // 0: nobody has asked

	trace *TraceHandle
	began int64 // start of the call

	cells  []unsafe.Pointer
	target []int32 // where an op of the program went in ops; where the next one went if it was skipped
	joins  []join
	caught []error // of WaitAll branches, by Catch
	wake   chan *laneRun
	timer  *time.Timer
}

func (e *Engine) newFrame(s *slot) *Frame {
	p := e.prog
	f := &Frame{
		engine: e,
		sched:  e.sched,
		slot:   s,
		eager:  invariants.On,
		limits: make([]limit, len(p.Limits)),
		cells:  make([]unsafe.Pointer, len(p.Cells)),
		joins:  make([]join, len(p.Forks)),
		caught: make([]error, len(p.Catches)),
		wake:   make(chan *laneRun, p.Lanes),
	}
	f.main.frame = f
	f.main.ctx = &Context{strand: &f.main}
	for i := range p.Cells { // a whole comes before its parts
		c := &p.Cells[i]
		if c.Parent < 0 {
			f.cells[i] = c.Type.New(c.Width)
		} else {
			f.cells[i] = f.part(c)
			if c.Width > 0 {
				c.Type.Move(f.cells[i], c.Type.New(c.Width))
			}
		}
		f.dirty = f.dirty || !c.Type.Flat && c.Width == 0 && !c.Parts || invariants.On
	}
	f.in, f.out = f.cells[p.In], f.cells[p.Out]
	if p.CopyOut != nil {
		f.result = p.Cells[p.Out].Type.New(0)
	}
	f.resolve()
	return f
}

// part returns where the part c of another cell is: a field of it, or an element of its slice.
func (f *Frame) part(c *Cell) unsafe.Pointer {
	whole := f.cells[c.Parent]
	if f.engine.prog.Cells[c.Parent].Width > 0 {
		whole = *(*unsafe.Pointer)(whole) // the slice's backing array
	}
	return unsafe.Add(whole, c.Offset)
}

// resolve makes the Frame's ops from the program's: cells become pointers, and a Parallel in which
// nothing can suspend at present becomes straight-line code without fork and join.
func (f *Frame) resolve() {
	p := f.engine.prog
	f.mode = f.engine.mode.Load()
	f.lane = false
	kinds := make([]OpKind, len(p.Ops))
	suspends := make([]int, len(p.Ops)+1) // how many ops before i do
	for i := range p.Ops {
		o := &p.Ops[i]
		kinds[i] = o.Kind
		if o.Kind == OpStep && o.Info.onLane() {
			kinds[i] = opLane
			f.lane = true
		}
		suspends[i+1] = suspends[i]
		if kinds[i] == opLane || o.Kind == OpDelay {
			suspends[i+1]++
		}
	}
	skip := make([]bool, len(p.Ops))
	for _, k := range p.Forks {
		if len(k.Starts) == 1 || suspends[k.End] == suspends[k.Begin] {
			skip[k.Begin] = true
			for _, j := range k.Joins {
				skip[j] = true
			}
		}
	}
	at := make([]int32, len(p.Ops)+1)
	for i := range p.Ops {
		at[i+1] = at[i]
		if !skip[i] {
			at[i+1]++
		}
	}
	f.target = at
	f.ops = make([]op, 0, at[len(p.Ops)])
	for i := range p.Ops {
		if skip[i] {
			continue
		}
		o := &p.Ops[i]
		r := op{
			kind: kinds[i], do: o.Run, run: o.Run, n: int32(o.N), pc: int32(len(f.ops)), info: o.Info,
			in: f.cells[o.In], out: f.cells[o.Out],
		}
		switch o.Kind {
		case OpBranch, OpJump:
			r.n = at[o.N]
		case OpDelay, OpMove:
			r.n = int32(i) // for what the op does not repeat
		}
		if r.kind != OpStep {
			r.run = noStep
		}
		f.ops = append(f.ops, r)
	}
	for i, k := range p.Forks {
		j := join{end: at[k.End]}
		for _, suspending := range [...]bool{true, false} { // what waits begins to wait first
			for b, s := range k.Starts {
				if suspends[k.Joins[b]] > suspends[s] == suspending {
					j.starts = append(j.starts, at[s])
				}
			}
		}
		f.joins[i] = j
	}
}

// In is the input cell. The caller fills it between Start and Run.
func (f *Frame) In() unsafe.Pointer { return f.in }

// CopiesInput reports whether the input must be copied with CopyIn, because a run on the lane could
// outlive the call and read it.
func (f *Frame) CopiesInput() bool { return f.lane && f.engine.prog.CopyIn != nil }

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
		f.main.inside = false
		p := recover()
		if p == nil {
			f.goexit()
			return
		}
		err = f.fail(f.main.pc, &PanicError{p, debug.Stack()})
	}()
	deepCopy(dst, src)
	f.main.inside = false
	return nil
}

// goexit releases the Frame when this goroutine is leaving by runtime.Goexit: nobody else will.
func (f *Frame) goexit() {
	f.lost = true
	f.Release()
}

// callIDs numbers the calls in which somebody asked for a step's id.
var callIDs atomic.Uint64

const stepBits = 20 // of a step id; the rest numbers the call

func (f *Frame) stepID(pc int32) uint64 {
	if f.id == 0 {
		f.id = callIDs.Add(1) << stepBits
		f.extra = true
	}
	return f.id | uint64(pc)
}

// Release gives the Frame back, or leaves it to the garbage collector if an abandoned run may still
// use it.
func (f *Frame) Release() {
	e, s := f.engine, f.slot
	f.main.abandon(0, int32(len(f.ops)))
	if f.lost {
		if f.main.ctx.state.Load() == pinned {
			f.main.ctx.end()
		}
		if s != nil {
			s.frame = nil
		}
	} else {
		f.clean()
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
		f.trace, f.auth, f.id = nil, nil, 0
		clear(f.set)
		clear(f.meta)
		clear(f.caught)
		f.set, f.meta, f.main.ready = f.set[:0], f.meta[:0], f.main.ready[:0]
	}
	if f.dirty {
		f.cleanCells()
	}
}

func (f *Frame) cleanCells() {
	cells := f.engine.prog.Cells
	for i := range cells {
		c, p := &cells[i], f.cells[i]
		switch {
		case c.Width > 0 || c.Parts:
			if invariants.On && c.Width > 0 {
				c.Type.Poison(p)
			}
		case c.Engine:
			if c.Type.Scrub != nil {
				c.Type.Scrub(p)
			}
		case !c.Type.Flat:
			c.Type.Clear(p)
		}
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
