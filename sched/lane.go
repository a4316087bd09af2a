package sched

import (
	"slices"
	"sync"
	"time"
)

// idleLimit is how long a goroutine of the lane stays without work: at most this, at least half of it.
const idleLimit = 10 * time.Second

// lane is a bounded set of goroutines for steps that block. Idle ones form a stack: the last to
// finish is the first to be used, so after a burst those at the bottom have nothing to do and leave.
type lane struct {
	mu     sync.Mutex
	idle   []worker
	unused int // goroutines at the bottom that were idle all the time since the last reap
	count  int
	max    int
	closed bool
	reaper *time.Timer
}

// worker is how an idle goroutine gets work. It is closed when it is to leave.
type worker chan Work

func (l *lane) run(work Work) error {
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
	case l.count >= l.max:
		return ErrOverloaded
	default:
		l.count++
		go make(worker, 1).loop(l, work)
	}
	return nil
}

// loop does work and what follows. Work that calls Goexit ends this goroutine, not the lane.
func (w worker) loop(l *lane, work Work) {
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
func (l *lane) park(w worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.idle = append(l.idle, w); l.reaper == nil {
		l.reaper = time.AfterFunc(idleLimit/2, l.reap)
	}
	return true
}

// reap sends those home that had nothing to do since it came last.
func (l *lane) reap() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.idle[:l.unused] {
		close(w)
	}
	l.idle = slices.Delete(l.idle, 0, l.unused)
	if l.unused = len(l.idle); l.unused > 0 {
		l.reaper.Reset(idleLimit / 2)
	} else {
		l.reaper = nil
	}
}

func (l *lane) close() {
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

func (l *lane) size() (count, idle int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, len(l.idle)
}
