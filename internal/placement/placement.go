// Package placement decides where things run, from how long they took: whether a step belongs on the
// lane, because it waits for something, or on its caller; and whether a Parallel gains by helpers.
package placement

import (
	"math/bits"
	"sync"
	"time"
)

// A step's first trialRuns runs go to the lane; if fewer than slowRuns of the last 16 took over slowRun,
// it moves to the caller. There the poll of the clock notices runs that span two beats; the third
// sends it back to the lane for another trial.
const (
	trialRuns = 16
	slowRuns  = 3
	slowRun   = int64(time.Millisecond)
)

// Detector watches the runs of one step. The zero value says that it stays on the caller.
type Detector struct {
	mu      sync.Mutex
	trial   int    // runs that go to the lane before the next decision
	history uint16 // the last runs on the lane: 1 = slow
	slow    int    // slow runs on the caller
}

// Try begins a trial on the lane.
func (d *Detector) Try() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trial = trialRuns
}

// OnLane reports whether the step goes to the lane at present.
func (d *Detector) OnLane() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trial > 0
}

// RanOnLane notes how many nanoseconds a run on the lane took. It reports whether the step moves to the
// caller.
func (d *Detector) RanOnLane(took int64) (moves bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.trial == 0 { // it began before the step moved
		return false
	}
	d.history <<= 1
	if took > slowRun {
		d.history |= 1
	}
	if d.trial--; d.trial > 0 {
		return false
	}
	if bits.OnesCount16(d.history) >= slowRuns {
		d.trial = 1
		return false
	}
	d.slow = 0
	return true
}

// RanSlow notes a run on the caller that spanned two beats. It reports whether the step moves to the
// lane. A fast run there is not noted: it must cost nothing.
func (d *Detector) RanSlow() (moves bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slow++; d.slow < slowRuns || d.trial > 0 {
		return false
	}
	d.trial = trialRuns
	return true
}
