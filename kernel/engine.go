package kernel

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/maida-ai/gomai/internal/placement"
	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/sched"
)

// Engine runs a Program. It keeps a bounded number of free Frames, and those of bursts until the garbage
// collector has come twice.
type Engine struct {
	prog      *Program
	sched     *sched.Sched
	slots     []slot
	spare     sync.Pool     // Frames of calls that found no slot
	mode      atomic.Uint32 // counts changes of what goes to the lane
	present   atomic.Pointer[layout]
	overflow  atomic.Int64 // calls inside that found no slot
	calls     atomic.Int64 // calls that found no slot and are over
	abandoned atomic.Int64
	onLane    atomic.Int64
	maxOnLane int64

	profits    []placement.Profit // by Fork
	spreadable bool               // some Fork has branches to spread
	spreads    atomic.Bool        // calls are worth it at present
	worth      placement.Worth    // guarded by mu
	always     bool               // they all are: for tests
	spread     atomic.Int64

	closed atomic.Bool
	mu     sync.Mutex
	left   chan struct{} // closed and renewed when a call leaves a closed engine
}

// slot holds a Frame. Its word says who may touch it: odd means a call is inside, and half of it is
// the number of calls that were.
type slot struct {
	word  atomic.Uint64
	frame *Frame
	_     [48]byte
}

// NewEngine returns an engine for p on s. maxBlocking bounds its share of the lane; 0: no bound of
// its own.
func NewEngine(p *Program, s *sched.Sched, maxBlocking int) *Engine {
	e := &Engine{
		prog:      p,
		sched:     s,
		slots:     make([]slot, max(16, 4*runtime.GOMAXPROCS(0))),
		maxOnLane: int64(maxBlocking),
		left:      make(chan struct{}),
		profits:   make([]placement.Profit, len(p.Forks)),
	}
	for i := range p.Forks {
		e.spreadable = e.spreadable || len(p.Forks[i].Starts) > 1
	}
	return e
}

// SpreadAlways makes the engine hand every Parallel to the crew, whether that pays or not. It is for
// tests, and comes before the first call.
func (e *Engine) SpreadAlways() {
	e.always = true
	for i := range e.profits {
		e.profits[i].Always = true
	}
	e.spreads.Store(e.sched.Crew() > 0)
}

// Stats is a snapshot of an engine.
type Stats struct {
	Calls     int64 // that are over
	Inside    int64 // calls that are running
	Blocking  int64 // steps on the lane, abandoned ones included
	Abandoned int64 // of them those whose caller has left and that still run
	Spread    int64 // Parallels whose branches were handed to the crew
}

// Stats returns a snapshot.
func (e *Engine) Stats() Stats {
	s := Stats{e.calls.Load(), e.overflow.Load(), e.onLane.Load(), e.abandoned.Load(), e.spread.Load()}
	for i := range e.slots {
		w := e.slots[i].word.Load()
		s.Calls += int64(w >> 1)
		s.Inside += int64(w & 1)
	}
	return s
}

// take returns a free Frame, nil if the engine is closed. Goroutines start looking at different
// slots, by where their stacks are.
func (e *Engine) take() *Frame {
	var here byte
	h, n := uintptr(unsafe.Pointer(&here))>>12, uintptr(len(e.slots))
	for i := range n {
		s := &e.slots[(h+i)%n]
		w := s.word.Load()
		if w&1 != 0 || !s.word.CompareAndSwap(w, w+1) {
			continue
		}
		if e.closed.Load() {
			s.word.Store(w)
			e.leave()
			return nil
		}
		s.frame = e.ready(s.frame, s)
		return s.frame
	}
	e.overflow.Add(1)
	if e.closed.Load() {
		e.overflow.Add(-1)
		e.leave()
		return nil
	}
	f, _ := e.spare.Get().(*Frame)
	return e.ready(f, nil)
}

// ready returns f, or a new Frame if it is nil, as the present mode wants it.
func (e *Engine) ready(f *Frame, s *slot) *Frame {
	if f == nil {
		f = e.newFrame(s)
	} else if f.layout.mode != e.mode.Load() {
		f.resolve()
	}
	return f
}

// leave wakes those who wait for a closed engine to become empty.
func (e *Engine) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.left)
	e.left = make(chan struct{})
}

// typeWord is the word of an interface that stands for its type: comparing it costs less than comparing
// contexts.
func typeWord(ctx context.Context) uintptr { return *(*uintptr)(unsafe.Pointer(&ctx)) }

var background = typeWord(context.Background())

// Start prepares a Frame for a call; the caller fills its input, runs and releases it.
func (e *Engine) Start(ctx context.Context, opts []settings.Option) (*Frame, error) {
	f := e.take()
	if f == nil {
		return nil, ErrClosed
	}
	if len(f.spreads) > 0 {
		f.sched.Enter()
	}
	ctx = orBackground(ctx)
	s := &f.main
	s.pc, f.parent = 0, ctx
	l := e.prog.Limits[0]
	if len(opts) > 0 {
		f.extra = true
		err := f.told.Apply(opts, e.prog.Keys)
		if f.told.Limit != (settings.Limit{}) {
			l = f.told.Limit // instead of the root's
		}
		if f.trace, _ = f.told.Trace.(*TraceHandle); f.trace != nil {
			f.eager = true
			*f.trace = TraceHandle{Spans: f.trace.Spans[:0]}
		}
		if err != nil {
			f.Release()
			return nil, err
		}
	}
	f.cancellable = typeWord(ctx) != background
	if f.timed = f.cancellable || l.After > 0 || l != (settings.Limit{}) || len(e.prog.Limits) > 1; f.timed || e.spreadable {
		s.beat = e.sched.Begin()
		f.sampling = e.spreadable && s.beat != f.sampled
	} else {
		s.beat = e.sched.Beat().Load()
	}
	f.limits[0] = s.startLimit(l)
	if s.want = s.beat; f.eager {
		s.want = never
	}
	return f, nil
}

// Spawn runs w on a goroutine of the scheduler.
func (e *Engine) Spawn(w sched.Work) error { return e.sched.Spawn(w) }

// Close is Shutdown without a bound.
func (e *Engine) Close() error { return e.Shutdown(context.Background()) }

// Shutdown refuses new calls and waits until those inside have left or ctx is done. It does not wait
// for abandoned runs: its error counts them, and calls still inside. It may be called again.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.closed.Store(true)
	for {
		e.mu.Lock()
		left := e.left
		e.mu.Unlock()
		s := e.Stats()
		if s.Inside == 0 {
			if s.Abandoned > 0 {
				return &ShutdownError{Abandoned: s.Abandoned}
			}
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return &ShutdownError{Inside: s.Inside, Abandoned: s.Abandoned, Err: ctx.Err()}
		}
	}
}

// ShutdownError says what still runs after Close or Shutdown.
type ShutdownError struct {
	Inside    int64 // calls
	Abandoned int64 // runs of steps whose caller has left
	Err       error // why Shutdown did not wait longer
}

func (e *ShutdownError) Error() string {
	s := fmt.Sprintf("engine closed with %d calls inside and %d abandoned runs", e.Inside, e.Abandoned)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error of Shutdown's context.
func (e *ShutdownError) Unwrap() error { return e.Err }
