package models

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// gate counts the calls inside a Model, so that its memory is given back when the last one has left
// and not before. It costs two atomic additions a call.
type gate struct {
	inside  atomic.Int64 // the calls inside; closed adds math.MinInt64, which makes it negative
	once    sync.Once    // for closing
	drained chan struct{}
	drain   sync.Once
	release func() error
	err     error // of release; read after drained is closed
}

func newGate(release func() error) *gate {
	return &gate{drained: make(chan struct{}), release: release}
}

// enter reports whether the gate is open; if it is, leave must follow.
func (g *gate) enter() bool {
	if g.inside.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

// hold enters for a goroutine that works for a call inside, also when the gate is closed already; leave
// must follow.
func (g *gate) hold() { g.inside.Add(1) }

func (g *gate) leave() {
	if g.inside.Add(-1) == math.MinInt64 {
		g.drain.Do(func() {
			g.err = g.release()
			close(g.drained)
		})
	}
}

// shut closes the gate and waits until it is drained or ctx is done.
func (g *gate) shut(ctx context.Context) error {
	g.once.Do(func() {
		g.inside.Add(1) // a call of our own, whose leaving releases when no other is inside
		g.inside.Add(math.MinInt64)
		g.leave()
	})
	select {
	case <-g.drained:
		return g.err
	default:
	}
	select {
	case <-g.drained:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("models: %d calls still inside: %w", g.inside.Load()-math.MinInt64, context.Cause(ctx))
	}
}
