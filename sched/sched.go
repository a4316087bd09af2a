// Package sched owns time and goroutines for everything that executes: the coarse clock that
// deadlines are checked against, exact waits, and the lane on which blocking steps run. It knows
// nothing of modules, frames or contexts.
package sched

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxBlocking is the size of a lane that nobody configured, in goroutines.
const DefaultMaxBlocking = 10_000

var (
	// ErrOverloaded is returned at once when the lane has no goroutine left for a blocking step.
	ErrOverloaded = errors.New("sched: the blocking lane is full")
	// ErrClosed is returned for a blocking step that comes after Close.
	ErrClosed = errors.New("sched: closed")
)

// Sched is a clock and a lane. One is enough for a process; engines share it. One that is made and
// closed inside a testing/synctest bubble works there, so pipelines can be tested in fake time.
type Sched struct {
	clock clock
	lane  lane
}

// Option configures New.
type Option struct {
	maxBlocking int
}

// MaxBlocking bounds the goroutines of the lane. n < 1 means DefaultMaxBlocking.
func MaxBlocking(n int) Option { return Option{maxBlocking: n} }

// New returns a scheduler. It holds no goroutine and no timer until work comes.
func New(opts ...Option) *Sched {
	s := new(Sched)
	s.clock.base = time.Now()
	s.lane.max = DefaultMaxBlocking
	for _, o := range opts {
		if o.maxBlocking > 0 {
			s.lane.max = o.maxBlocking
		}
	}
	return s
}

// Default returns the scheduler of the process. It is made on first use and never closed.
var Default = sync.OnceValue(func() *Sched { return New() })

// Close sends the idle goroutines of the lane home; busy ones follow when their step returns. Later
// blocking steps get ErrClosed. The clock goes on for calls that are inside, and stops by itself.
func (s *Sched) Close() { s.lane.close() }

// Stats is a snapshot of a scheduler.
type Stats struct {
	Blocking int  // goroutines of the lane
	Idle     int  // of them without work
	Ticking  bool // the coarse clock runs
}

// Stats returns a snapshot.
func (s *Sched) Stats() Stats {
	n, idle := s.lane.size()
	return Stats{Blocking: n, Idle: idle, Ticking: s.clock.beat.Load() != 0}
}

// Work is what a goroutine of the lane does.
type Work interface {
	// Run does it. Nobody catches its panics, so it recovers itself; it may call runtime.Goexit.
	Run()
	// Over is called after Run, when the goroutine is free for other work or has left the lane: who
	// hears of it there may count on a free goroutine. It returns soon.
	Over()
}

// Go runs w on the lane. It never waits: without a free goroutine it returns ErrOverloaded.
func (s *Sched) Go(w Work) error { return s.lane.run(w) }

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
