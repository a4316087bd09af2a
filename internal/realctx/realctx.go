// Package realctx makes, on demand, a context of package context for one that has none yet.
package realctx

import (
	"context"
	"sync"
	"time"
)

// Lazy is a context that package context knows how to cancel, made at its first use. The zero value is
// ready.
type Lazy struct {
	mu     sync.Mutex
	ended  bool
	real   context.Context
	cancel context.CancelFunc
}

// Get returns the context. At the first call it is made: a child of parent that ends at the deadline,
// unless that is zero, or with End, which may have come before.
func (l *Lazy) Get(parent context.Context, deadline time.Time) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.real == nil {
		if deadline.IsZero() || l.ended {
			l.real, l.cancel = context.WithCancel(parent)
		} else {
			l.real, l.cancel = context.WithDeadline(parent, deadline)
		}
		if l.ended {
			l.cancel()
		}
	}
	return l.real
}

// End cancels the context.
func (l *Lazy) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.cancel != nil {
		l.cancel()
	}
}

// Unused reports whether the context was neither made nor ended.
func (l *Lazy) Unused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.real == nil && !l.ended
}

// CancelKey is the key under which package context looks for its own cancelCtx, learned by being
// asked. Answering it with the real one lets WithCancel, AfterFunc and Cause work without a goroutine.
var CancelKey = func() any {
	var p probe
	_ = context.Cause(&p)
	return p.key
}()

type probe struct {
	context.Context
	key any
}

func (p *probe) Value(key any) any { p.key = key; return nil }
func (p *probe) Err() error        { return context.Canceled }
