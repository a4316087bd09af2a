package placement

import "sync/atomic"

// Handing branches to other goroutines costs a few moves of cache lines between cores if one of them
// looks for work already, and microseconds if one must be woken: docs/RATIONALE.md has figures.
const (
	// Worthwhile is how many nanoseconds of work are worth handing over. Branches with less always run
	// one after the other.
	Worthwhile = 1500

	worthWaking = 150_000 // ns of work for which parked helpers are woken
	// Of so many runs one stays on its goroutine to be timed.
	measureEvery = 64

	patience   = 2  // losses in a row that are taken for chance: pausing would let helpers go to sleep
	probation  = 8  // and so many more after a trial, as a helper is slow at first
	maxPause   = 10 // what goes on losing is tried again after up to 2^maxPause runs
	maxBackoff = 2  // and a helper is woken on trial every 2^maxBackoff beats at least
	worthCalls = 4  // calls in a row that were long let an engine spread its Parallels
)

// Stay is the answer of Profit.Wake that keeps branches on their goroutine.
const Stay = -1

// Profit is what is known of a Parallel: what its branches cost one after the other, and whether
// handing them to helpers was faster. The zero value knows nothing.
type Profit struct {
	Always bool          // hand over in any case: for tests
	work   atomic.Int64  // ns of the branches, one after the other; 0: not known
	losses atomic.Int32  // how often in a row handing over was slower than that
	skip   atomic.Int32  // runs to go before it is tried again
	trial  atomic.Uint32 // the beat from which on a helper may be woken on trial
	vain   atomic.Int32  // trials in a row that nothing was gained after
	gained atomic.Bool   // since the last trial
	_      [24]byte
}

// Stays reports whether the branches are known to be not worth handing over. run counts the runs of a
// Parallel.
func (p *Profit) Stays(run uint32) bool {
	return run%measureEvery != 0 && !p.Always && p.work.Load() < Worthwhile
}

// Wake says how many parked helpers are to be woken for n branches, or Stay. helpers is how many look
// for work already, busy whether each core has a call of its own, beat the number of the present
// millisecond: on trial, one is woken in each.
func (p *Profit) Wake(run uint32, n, helpers int, busy bool, beat uint32) int {
	if p.Always {
		return n
	}
	work := p.work.Load()
	if run%measureEvery == 0 || work < Worthwhile {
		return Stay
	}
	if (helpers > 0 || work >= worthWaking) && p.skip.Load() > 0 {
		p.skip.Add(-1)
		return Stay
	}
	if busy && work < worthWaking {
		return Stay
	}
	if helpers > 0 {
		return 0
	}
	if work >= worthWaking {
		return n - 1
	}
	from := p.trial.Load()
	if int32(beat-from) < 0 || !p.trial.CompareAndSwap(from, beat+1) {
		return Stay
	}
	if p.gained.Swap(false) {
		p.vain.Store(0)
	} else {
		p.trial.Store(beat + 1<<min(p.vain.Add(1)-1, maxBackoff))
	}
	p.losses.Store(-probation)
	p.skip.Store(0)
	return 1
}

// Learn notes that the branches took so many nanoseconds: with helpers of whom woken were woken, or on
// one goroutine if woken is Stay.
func (p *Profit) Learn(took int64, woken int, beat uint32) {
	work := p.work.Load()
	switch {
	case woken == Stay && work == 0:
		p.work.Store(took)
	case woken == Stay:
		p.work.Store(work + (took-work)/4)
	case took < work:
		if !p.gained.Load() {
			p.gained.Store(true)
			p.trial.Store(beat + 1)
		}
		if p.losses.Load() != 0 {
			p.losses.Store(0)
		}
	case woken > 0 && work < worthWaking: // a trial is judged by what follows: helpers take a while to wake up
	default:
		if n := min(p.losses.Add(1)-patience, maxPause); n > 0 {
			p.skip.Store(1 << n)
		}
	}
}

// Worth decides for an engine whether its calls are long enough for a Parallel to gain by helpers. The
// zero value says no. It is not safe for concurrent use.
type Worth struct {
	yes  bool
	long int // long calls less short ones, within bounds
}

// Sample notes how long a call computed, in nanoseconds, and returns the decision.
func (w *Worth) Sample(took int64) bool {
	if took < Worthwhile {
		w.long = max(w.long-1, 0)
	} else {
		w.long = min(w.long+1, worthCalls)
	}
	w.yes = w.long == worthCalls || w.yes && w.long > 0
	return w.yes
}
