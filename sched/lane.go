package sched

import (
	"slices"
	"sync"
	"time"
)

// idleLimit is how long a goroutine of the lane stays without work.
const idleLimit = 10 * time.Second

// lane is a bounded set of goroutines for steps that block. Idle ones form a stack: the last to
// finish is the first to be used, so after a burst those at the bottom grow old and leave.
type lane struct {
	mu     sync.Mutex
	idle   []*worker
	count  int
	max    int
	closed bool
	reaper *time.Timer
}

type worker struct {
	work  chan Work // closed: go home
	since time.Time // idle since
}

func (l *lane) run(work Work) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle)
	switch {
	case l.closed:
		return ErrClosed
	case n > 0:
		l.idle[n-1].work <- work // there is room for it
		l.idle = slices.Delete(l.idle, n-1, n)
	case l.count >= l.max:
		return ErrOverloaded
	default:
		l.count++
		go (&worker{work: make(chan Work, 1)}).loop(l, work)
	}
	return nil
}

// loop does work and what follows. Work that calls Goexit ends this goroutine, not the lane.
func (w *worker) loop(l *lane, work Work) {
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
		work = <-w.work
	}
}

// park puts w on the stack of idle goroutines.
func (l *lane) park(w *worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	w.since = time.Now()
	l.idle = append(l.idle, w)
	if len(l.idle) == 1 {
		l.rearm(idleLimit)
	}
	return true
}

func (l *lane) rearm(d time.Duration) {
	if l.reaper == nil {
		l.reaper = time.AfterFunc(d, l.reap)
	} else {
		l.reaper.Reset(d)
	}
}

// reap sends home who has been idle for idleLimit: the bottom of the stack.
func (l *lane) reap() {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.idle) && time.Since(l.idle[n].since) >= idleLimit {
		close(l.idle[n].work)
		n++
	}
	l.idle = slices.Delete(l.idle, 0, n)
	if len(l.idle) > 0 {
		l.rearm(idleLimit - time.Since(l.idle[0].since))
	}
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, w := range l.idle {
		close(w.work)
	}
	l.idle = nil
	if l.reaper != nil {
		l.reaper.Stop()
	}
}

func (l *lane) size() (count, idle int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, len(l.idle)
}
