// Package sched owns time and goroutines for everything that executes: the coarse clock that
// deadlines are checked against, the lane on which blocking steps run, and the crew that helps with
// what is computed. It knows nothing of modules, frames or contexts.
package sched

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maida-ai/gomai/internal/lane"
)

// DefaultMaxBlocking is the size of a lane that nobody configured, in goroutines.
const DefaultMaxBlocking = 10_000

var (
	// ErrOverloaded is returned at once when the lane has no goroutine left for a blocking step.
	ErrOverloaded = lane.ErrOverloaded
	// ErrClosed is returned for a blocking step that comes after Close.
	ErrClosed = lane.ErrClosed
)

// Work is what a goroutine of the lane does.
type Work = lane.Work

// Sched is a clock, a lane and a crew. One is enough for a process; engines share it. One that is made and
// closed inside a testing/synctest bubble works there, so pipelines can be tested in fake time.
type Sched struct {
	clock clock
	lane  lane.Lane // of Go
	calls lane.Lane // of Spawn
	crew  crew
}

// Option configures New.
type Option struct{ maxBlocking int }

// MaxBlocking bounds the goroutines of the lane. n < 1 means DefaultMaxBlocking.
func MaxBlocking(n int) Option { return Option{maxBlocking: n} }

// New returns a scheduler. It holds no goroutine and no timer until work comes.
func New(opts ...Option) *Sched {
	s := new(Sched)
	s.clock.base = time.Now()
	s.lane.Max = DefaultMaxBlocking
	s.calls.Max = math.MaxInt
	for _, o := range opts {
		if o.maxBlocking > 0 {
			s.lane.Max = o.maxBlocking
		}
	}
	return s
}

// Default returns the scheduler of the process. It is made on first use and never closed.
var Default = sync.OnceValue(func() *Sched { return New() })

// Close sends idle goroutines home; busy ones follow when their work returns. Later work gets ErrClosed
// or, from Spread, false. The clock goes on for calls that are inside, and stops by itself.
func (s *Sched) Close() {
	s.lane.Close()
	s.calls.Close()
	s.crew.resize(closed)
}

// Stats is a snapshot of a scheduler.
type Stats struct {
	Blocking int  // goroutines of the lane
	Idle     int  // of them without work
	Ticking  bool // the coarse clock runs
}

// Stats returns a snapshot.
func (s *Sched) Stats() Stats {
	n, idle := s.lane.Size()
	return Stats{Blocking: n, Idle: idle, Ticking: s.clock.beat.Load() != 0}
}

// Go runs w on the lane. It never waits: without a free goroutine it returns ErrOverloaded.
func (s *Sched) Go(w Work) error { return s.lane.Go(w) }

// Spawn runs w on a goroutine of a second lane, which is unbounded: for whole calls, which nobody counts
// as blocking.
func (s *Sched) Spawn(w Work) error { return s.calls.Go(w) }

// Crew returns how many loops there are to help with Spread: one less than GOMAXPROCS, which may change
// at run time; 0 means that everything is computed by its caller. It starts them if need be, and keeps
// the clock going.
func (s *Sched) Crew() int {
	c, beat := &s.crew, s.Begin()
	// GOMAXPROCS takes the lock of the runtime's scheduler: once a beat is enough.
	if c.beat.Load() != beat && c.beat.Swap(beat) != beat {
		c.resize(min(runtime.GOMAXPROCS(0)-1, maxLoops))
	}
	return max(int(c.limit.Load()), 0)
}

// Enter and Leave bracket a request that may call Spread: while one is inside, loops without work look
// for some for about 50 us before they park.
func (s *Sched) Enter() { s.crew.inside.Add(1) }

// Leave ends what Enter began.
func (s *Sched) Leave() { s.crew.inside.Add(^uint64(0)) }

// Helpers is how many loops look for work at this moment.
func (s *Sched) Helpers() int { return int(s.crew.spinning.Load()) }

// Busy says whether each core has a request of its own inside, so that who comes to help one takes the
// core of another.
func (s *Sched) Busy() bool { return s.crew.busy() }

// Spread runs the items of job on its caller and on the loops that come to help, and returns when all
// are over; an item that calls runtime.Goexit on the caller takes those with it that nobody has begun.
// It wakes up to wake parked loops. It returns false, and has run nothing, if there is no crew, if all
// slots are taken, or if there are less than 1 or more than 65,535 items. It allocates nothing.
func (s *Sched) Spread(job Job, items, wake int) bool { return s.crew.spread(job, items, wake) }

// Now is the time since the scheduler was made, in nanoseconds.
func (s *Sched) Now() int64 { return s.clock.now() }

// Time converts what Now returns.
func (s *Sched) Time(ns int64) time.Time { return s.clock.base.Add(time.Duration(ns)) }

// At converts t to the scale of Now. A time without a monotonic reading is where the wall clock says
// now that it is.
func (s *Sched) At(t time.Time) int64 {
	d := time.Until(t) // before Now: what passes between the two must not make it early
	return Add(s.Now(), d)
}

// Add returns t + d, the last of all times if that is beyond it.
func Add(t int64, d time.Duration) int64 {
	if sum := t + int64(d); d < 0 || sum >= t {
		return sum
	}
	return math.MaxInt64
}

// Beat is the word that holds the number of the clock's last beat, 0 while the clock stands. Whoever
// polls it and finds another number than the last time calls Begin.
func (s *Sched) Beat() *atomic.Uint32 { return &s.clock.beat }

// Begin returns the number of the present beat and keeps the clock going until the next one.
func (s *Sched) Begin() uint32 { return s.clock.begin() }

// Anchor returns a time, on the scale of Now, at or after something that began during beat n: the
// first beat after it, or now if there was none yet. What is due a duration after an anchor is never
// early, however late beats are, and late by one beat at the most if n is not longer ago than
// Remembered.
func (s *Sched) Anchor(n uint32) int64 { return s.clock.anchor(n) }
