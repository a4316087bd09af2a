// Package lane is a set of goroutines for work that blocks: they are started when they are needed and
// kept for a while.
package lane

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// IdleLimit is how long a goroutine of the lane stays without work: at most this, at least half of it.
const IdleLimit = 10 * time.Second

var (
	// ErrOverloaded is returned at once when all goroutines are busy.
	ErrOverloaded = errors.New("sched: the blocking lane is full")
	// ErrClosed is returned for work that comes after Close.
	ErrClosed = errors.New("sched: closed")
)

// Work is what a goroutine of the lane does.
type Work interface {
	// Run does it. Nobody catches its panics, so it recovers itself; it may call runtime.Goexit.
	Run()
	// Over is called after Run, when the goroutine is free for other work or has left the lane: who
	// hears of it there may count on a free goroutine. It returns soon.
	Over()
}

// Lane is a set of up to Max goroutines. Idle ones form a stack: the last to finish is the first to be
// used, so after a burst those at the bottom have nothing to do and leave.
type Lane struct {
	Max int // not to be changed after the first Go

	mu     sync.Mutex
	idle   []worker
	unused int // goroutines at the bottom that were idle all the time since the last reap
	count  int
	closed bool
	reaper *time.Timer
}

// worker is how an idle goroutine gets work. It is closed when it is to leave.
type worker chan Work

// Go runs work. It never waits: without a free goroutine it returns ErrOverloaded.
func (l *Lane) Go(work Work) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle) - 1
	switch {
	case l.closed:
		return ErrClosed
	case n >= 0:
		l.idle[n] <- work // there is room for it
		l.idle = slices.Delete(l.idle, n, n+1)
		l.unused = min(l.unused, n)
	case l.count >= l.Max:
		return ErrOverloaded
	default:
		l.count++
		go make(worker, 1).loop(l, work)
	}
	return nil
}

// loop does work and what follows. Work that calls Goexit ends this goroutine, not the lane.
func (w worker) loop(l *Lane, work Work) {
	defer func() {
		l.mu.Lock()
		l.count--
		l.mu.Unlock()
		if work != nil {
			work.Over()
		}
	}()
	for work != nil {
		work.Run()
		if !l.park(w) {
			return
		}
		over := work
		work = nil // an idle goroutine keeps nothing alive
		over.Over()
		work = <-w
	}
}

// park puts w on the stack of idle goroutines.
func (l *Lane) park(w worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.idle = append(l.idle, w); l.reaper == nil {
		l.reaper = time.AfterFunc(IdleLimit/2, l.reap)
	}
	return true
}

// reap sends those home that had nothing to do since it came last.
func (l *Lane) reap() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.idle[:l.unused] {
		close(w)
	}
	l.idle = slices.Delete(l.idle, 0, l.unused)
	if l.unused = len(l.idle); l.unused > 0 {
		l.reaper.Reset(IdleLimit / 2)
	} else {
		l.reaper = nil
	}
}

// Close sends the idle goroutines home; busy ones follow when their work is over.
func (l *Lane) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, w := range l.idle {
		close(w)
	}
	l.idle, l.unused = nil, 0
	if l.reaper != nil {
		l.reaper.Stop()
	}
}

// Size returns how many goroutines there are, and how many of them have no work.
func (l *Lane) Size() (count, idle int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, len(l.idle)
}
