package kernel

import (
	"math/bits"
	"time"
)

// Whether an undeclared step blocks is found out. Its first trialRuns runs go to the lane; if fewer than
// slowRuns of the last 16 took over slowRun, it moves to the caller. There the poll of the clock notices
// runs that span two beats; the third sends it back to the lane for another trial. A fast run on the
// caller writes nothing.
const (
	trialRuns = 16
	slowRuns  = 3
	slowRun   = int64(time.Millisecond)
)

// Try marks i as a step for which the lane is still to be tried.
func (i *Info) Try() { i.trial = trialRuns }

// onLane reports whether the step goes to the lane at present.
func (i *Info) onLane() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.Mark == OptBlocking || i.Mark == OptNone && i.trial > 0
}

// Placement says in words where the step runs at present.
func (i *Info) Placement() string {
	switch {
	case i.Mark == OptBlocking:
		return "blocking"
	case i.Mark == OptComputing:
		return "computing"
	case i.onLane():
		return "undeclared, on the lane"
	}
	return "undeclared, on the caller"
}

// ranOnLane notes how long a run on the lane took.
func (e *Engine) ranOnLane(i *Info, took int64) {
	if i.Mark != OptNone {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.trial == 0 { // it began before the step moved to the caller
		return
	}
	i.history <<= 1
	if took > slowRun {
		i.history |= 1
	}
	if i.trial--; i.trial > 0 {
		return
	}
	if bits.OnesCount16(i.history) >= slowRuns {
		i.trial = 1
		return
	}
	i.trial, i.slow = 0, 0
	e.mode.Add(1)
}

// ranSlow notes a run on the caller that spanned two beats.
func (e *Engine) ranSlow(i *Info) {
	if i.Mark != OptNone {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.slow++; i.slow >= slowRuns && i.trial == 0 {
		i.trial = trialRuns
		e.mode.Add(1)
	}
}
