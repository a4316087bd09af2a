package sched

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/panjf2000/ants/v2"
)

// Job is work in independent items.
type Job interface {
	// Run runs item i on whatever goroutine. Nobody catches its panics, so it recovers itself; it may
	// call runtime.Goexit, which counts as the end of the item. It may call Spread.
	Run(i int)
}

const (
	maxLoops = 64 // bits of idle and running
	maxSlots = 64 // bits of active and free

	// A loop without work looks spinRounds times spinLoads for some before it parks, about 50 us. It
	// counts and reads no clock: time stands still in a testing/synctest bubble while somebody spins.
	spinRounds = 160
	spinLoads  = 256
	// In so many rounds in a row without a request inside, it parks at once. One round is too few: a
	// goroutine that calls all the time is outside for a moment, too.
	quietRounds = 8
	// An owner looks so many rounds for the end of what thieves took before it parks.
	waitRounds = 32

	parked = 1 << 31 // bit of jobSlot.left: the owner receives from wake
)

// crew is a set of long-lived loops, tasks of one ants pool, which help owners: goroutines that spread
// the items of a job. Publishing and taking items are lock-free and allocate nothing; words that many
// goroutines look at have cache lines of their own. Loops without work park.
type crew struct {
	_        [64]byte
	active   atomic.Uint64 // a bit for each slot with free items
	_        [56]byte
	idle     atomic.Uint64 // a bit for each parked loop
	_        [56]byte
	free     atomic.Uint64 // a bit for each slot without a job
	_        [56]byte
	inside   atomic.Int64 // requests that may spread
	_        [56]byte
	spinning atomic.Int64 // loops that look for work
	_        [56]byte
	limit    atomic.Int64  // loops wanted
	checked  atomic.Uint32 // the beat in which limit was compared with GOMAXPROCS
	slots    [maxSlots]jobSlot
	tokens   [maxLoops]chan struct{}

	mu      sync.Mutex
	running uint64 // a bit for each loop
	closed  bool
	pool    *ants.Pool
}

type jobSlot struct {
	claim      atomic.Uint64
	_          [56]byte
	left       atomic.Uint32 // items that are not over
	_          [60]byte
	job        Job // read by who has claimed an item: until that is over the job is not
	generation uint32
	bit        uint64
	wake       chan struct{}
	_          [24]byte
}

func (c *crew) spread(job Job, items, wake int) bool {
	if c.limit.Load() == 0 || items < 1 || items > maxItems {
		return false
	}
	number, ok := takeBit(&c.free)
	if !ok {
		return false
	}
	s := &c.slots[number]
	s.generation++
	s.job = job
	s.left.Store(uint32(items))
	c.active.Or(s.bit) // before there are items: who takes the last one clears it
	s.claim.Store(uint64(newClaim(s.generation, items)))
	for ; wake > 0 && c.wakeOne(); wake-- {
	}
	own := 0
	defer func() {
		rest, _ := c.take(s, claim.rest) // some if an item has called runtime.Goexit: nobody runs them
		if s.left.Add(-uint32(own+rest)) > 0 {
			s.wait()
		}
		s.job = nil
		c.free.Or(s.bit)
	}()
	for {
		item, ok := c.take(s, claim.low)
		if !ok {
			return true
		}
		own++ // before the item, which may not return
		job.Run(item)
	}
}

// take claims items of s. Who takes the last one clears the slot's bit, and does it while the job is not
// over, because that bit may stand for another job as soon as it is.
func (c *crew) take(s *jobSlot, transition func(claim) (claim, int, bool)) (int, bool) {
	for {
		word := s.claim.Load()
		next, n, ok := transition(claim(word))
		if !ok {
			return 0, false
		}
		if s.claim.CompareAndSwap(word, uint64(next)) {
			if next.free() == 0 {
				c.active.And(^s.bit)
			}
			return n, true
		}
	}
}

// wait returns when thieves have finished what they took. There is one token for one parked owner: the
// bit and the count are one word, so the thief that ends the last item knows whether to send it, and
// one that need not never looks at the slot again.
func (s *jobSlot) wait() {
	for range waitRounds {
		for range spinLoads {
			if s.left.Load() == 0 {
				return
			}
		}
		runtime.Gosched()
	}
	if s.left.Or(parked) > 0 {
		<-s.wake
	}
}

// run runs an item that a thief has taken.
func (s *jobSlot) run(item int) {
	defer func() { // also after a Goexit
		if s.left.Add(^uint32(0)) == parked {
			s.wake <- struct{}{}
		}
	}()
	s.job.Run(item)
}

// loop is what a goroutine of the crew does until the crew has become too large or is closed. If an
// item calls Goexit this goroutine is lost, and another one takes over the loop.
func (c *crew) loop(n int) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running &^= 1 << n
		c.fill()
	}()
	for n < int(c.limit.Load()) {
		if m := c.active.Load(); m == 0 {
			if !c.spin() {
				c.park(n)
			}
		} else if !c.help(m) {
			runtime.Gosched() // somebody is between the last item and its bit
		}
	}
}

// help takes items of the slots in m. It reports whether there were any.
func (c *crew) help(m uint64) (any bool) {
	for ; m != 0; m &= m - 1 {
		s := &c.slots[bits.TrailingZeros64(m)]
		for {
			item, ok := c.take(s, claim.high)
			if !ok {
				break
			}
			s.run(item)
			any = true
		}
	}
	return any
}

// spin reports whether there was work before it gave up.
func (c *crew) spin() bool {
	c.spinning.Add(1)
	defer c.spinning.Add(-1)
	for round, quiet := 0, 0; round < spinRounds && quiet < quietRounds; round++ {
		for range spinLoads {
			if c.active.Load() != 0 {
				return true
			}
		}
		if quiet++; c.inside.Load() > 0 {
			quiet = 0
		}
		runtime.Gosched()
	}
	return false
}

// park waits for a token. Who changes active or limit looks at idle afterwards, and park the other way
// round, so one of the two notices. There is one token for one bit: its taker sends it.
func (c *crew) park(n int) {
	bit := uint64(1) << n
	c.idle.Or(bit)
	if (c.active.Load() != 0 || n >= int(c.limit.Load())) && c.idle.And(^bit)&bit != 0 {
		return
	}
	<-c.tokens[n]
}

func (c *crew) wakeOne() bool {
	n, ok := takeBit(&c.idle)
	if ok {
		c.tokens[n] <- struct{}{}
	}
	return ok
}

// takeBit takes the lowest bit out of word.
func takeBit(word *atomic.Uint64) (int, bool) {
	for {
		m := word.Load()
		if m == 0 {
			return 0, false
		}
		if word.CompareAndSwap(m, m&(m-1)) {
			return bits.TrailingZeros64(m), true
		}
	}
}

// size returns how many loops there are, and makes it one less than GOMAXPROCS. That follows the
// container's CPU limit, and costs the lock of the runtime's scheduler: once a beat.
func (c *crew) size(beat uint32) int {
	if c.checked.Load() != beat && c.checked.Swap(beat) != beat {
		c.resize(min(runtime.GOMAXPROCS(0)-1, maxLoops))
	}
	return int(c.limit.Load())
}

func (c *crew) resize(limit int) {
	if limit == int(c.limit.Load()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.pool == nil {
		// Without a bound, since the heir of a loop comes before its goroutine has gone. It fails only
		// on options that contradict each other.
		c.pool, _ = ants.NewPool(-1, ants.WithDisablePurge(true), ants.WithPanicHandler(func(p any) { panic(p) }))
		for i := range c.tokens {
			c.tokens[i] = make(chan struct{}, 1)
		}
		for i := range c.slots {
			c.slots[i].bit, c.slots[i].wake = 1<<i, make(chan struct{}, 1)
		}
		c.free.Store(^uint64(0))
	}
	c.want(limit)
}

// want sets how many loops there are to be. The caller holds mu.
func (c *crew) want(limit int) {
	c.limit.Store(int64(limit))
	c.fill()
	for c.wakeOne() { // those beyond the limit leave
	}
}

// fill starts the loops that are wanted and do not run. The caller holds mu.
func (c *crew) fill() {
	for n := range int(c.limit.Load()) {
		if c.running>>n&1 == 0 && c.pool.Submit(func() { c.loop(n) }) == nil {
			c.running |= 1 << n
		}
	}
}

func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.want(0)
	if c.pool != nil {
		c.pool.Release()
	}
}
