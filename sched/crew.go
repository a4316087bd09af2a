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
	maxLoops, maxSlots = 64, 64 // a bit each in a word

	// A loop without work looks spinRounds times spinLoads for some before it parks, about 50 us. It
	// counts and reads no clock: time stands still in a testing/synctest bubble while somebody spins.
	spinRounds = 320
	spinLoads  = 256
	// After so many rounds in a row without a request inside it parks at once. One round is too few: a
	// goroutine that calls all the time is outside for a moment, too.
	quietRounds = 8
	// An owner looks so many rounds for the end of what thieves took before it parks.
	waitRounds = 32

	parked = 1 << 63 // bit of slot.left: the owner receives from wake
	closed = -1      // value of crew.limit
)

// word is looked at by many goroutines, and shares no cache line, nor a pair of them, with another.
type word struct {
	_ [56]byte
	atomic.Uint64
	_ [64]byte
}

// crew is a set of long-lived loops, tasks of one ants pool, which help owners: goroutines that spread
// the items of a job. Publishing and taking items are lock-free and allocate nothing. Loops without
// work park.
type crew struct {
	active   word          // a bit for each slot with free items
	idle     word          // a bit for each parked loop
	free     word          // a bit for each slot without a job
	inside   word          // requests that may spread
	spinning word          // loops that look for work
	limit    atomic.Int64  // loops wanted
	beat     atomic.Uint32 // when limit was compared with GOMAXPROCS
	slots    [maxSlots]slot
	tokens   [maxLoops]chan struct{}

	mu      sync.Mutex
	running uint64 // a bit for each loop
	pool    *ants.Pool
}

// slot holds a job while it is published.
type slot struct {
	claim word
	left  word // items that are not over
	job   Job  // for who has claimed an item: until that is over the job is not
	bit   uint64
	wake  chan struct{}
}

func (c *crew) spread(job Job, items, wake int) bool {
	if c.limit.Load() <= 0 || items < 1 || items > maxItems {
		return false
	}
	number := takeBit(&c.free)
	if number == maxSlots {
		return false
	}
	s := &c.slots[number]
	s.job = job
	s.left.Store(uint64(items))
	c.active.Or(s.bit) // before there are items: who takes the last one clears it
	s.claim.Store(uint64(claim(s.claim.Load()).publish(items)))
	c.wake(wake)
	defer func() {
		c.take(s, claim.rest) // there is some if an item has called runtime.Goexit: nobody runs it
		own := claim(s.claim.Load()).lo()
		// There is one token for one parked owner: count and bit are one word, so the thief that ends the
		// last item knows whether to send it, and one that need not never looks at the slot again.
		if s.left.Add(-uint64(own)) > 0 && !becomes(&s.left, true, waitRounds) && s.left.Or(parked) > 0 {
			<-s.wake
		}
		s.job = nil
		c.free.Or(s.bit)
	}()
	for item, ok := c.take(s, claim.low); ok; item, ok = c.take(s, claim.low) {
		job.Run(item)
	}
	return true
}

// take makes a transition of the claim of s. Who takes the last item clears the slot's bit, and does it
// while the job is not over, because as soon as it is the bit may stand for another one.
func (c *crew) take(s *slot, transition func(claim) (claim, int, bool)) (int, bool) {
	for {
		seen := s.claim.Load()
		next, item, ok := transition(claim(seen))
		if !ok || s.claim.CompareAndSwap(seen, uint64(next)) {
			if ok && next.free() == 0 {
				c.active.And(^s.bit)
			}
			return item, ok
		}
	}
}

// run runs an item that a thief has taken.
func (s *slot) run(item int) {
	defer func() { // also after a Goexit
		if s.left.Add(^uint64(0)) == parked {
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
		s := &c.slots[bits.TrailingZeros64(c.active.Load())%maxSlots] // if none is active, it has no items
		if item, ok := c.take(s, claim.high); ok {
			s.run(item)
		} else if !c.spin() {
			c.park(n)
		}
	}
}

// becomes looks for a while whether w becomes zero, or something else.
func becomes(w *word, zero bool, rounds int) bool {
	for range rounds {
		for range spinLoads {
			if (w.Load() == 0) == zero {
				return true
			}
		}
		runtime.Gosched()
	}
	return false
}

// busy says whether there are as many requests inside as cores.
func (c *crew) busy() bool { return int64(c.inside.Load()) > c.limit.Load() }

// spin reports whether there was work before it gave up.
func (c *crew) spin() bool {
	runtime.Gosched() // who took the last item of a slot is perhaps about to clear its bit
	c.spinning.Add(1)
	defer c.spinning.Add(^uint64(0))
	for round, quiet := 0, 0; round < spinRounds && quiet < quietRounds; round++ {
		if becomes(&c.active, false, 1) {
			return true
		}
		if quiet++; c.inside.Load() > 0 && !c.busy() {
			quiet = 0
		}
	}
	return false
}

// park waits for a token. Who changes active or limit looks at idle afterwards, and park the other way
// round, so one of the two notices. There is one token for one bit: who takes the bit sends it.
func (c *crew) park(n int) {
	bit := uint64(1) << n
	c.idle.Or(bit)
	if c.active.Load() == 0 && n < int(c.limit.Load()) || c.idle.And(^bit)&bit == 0 {
		<-c.tokens[n]
	}
}

// wake wakes parked loops, but not more than most.
func (c *crew) wake(most int) {
	for n := 0; most > 0 && n < maxLoops; most-- {
		if n = takeBit(&c.idle); n < maxLoops {
			c.tokens[n] <- struct{}{}
		}
	}
}

// takeBit takes the lowest bit out of w and returns its number, 64 if there is none.
func takeBit(w *word) int {
	for {
		m := w.Load()
		if m == 0 || w.CompareAndSwap(m, m&(m-1)) {
			return bits.TrailingZeros64(m)
		}
	}
}

// resize sets the limit, unless it is closed.
func (c *crew) resize(limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := int(c.limit.Load()); old == limit || old == closed {
		return
	}
	if c.pool == nil && limit > 0 {
		// It has no bound, since the heir of a loop comes before its goroutine has gone. There is an
		// error only for options that contradict each other.
		c.pool, _ = ants.NewPool(-1, ants.WithDisablePurge(true), ants.WithPanicHandler(func(p any) { panic(p) }))
		for i := range maxSlots {
			c.slots[i].bit, c.slots[i].wake = 1<<i, make(chan struct{}, 1)
			c.tokens[i] = make(chan struct{}, 1)
		}
		c.free.Store(1<<maxSlots - 1)
	}
	c.limit.Store(int64(limit))
	c.fill()
	c.wake(maxLoops) // those beyond the limit leave
	if c.pool != nil && limit == closed {
		c.pool.Release()
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
