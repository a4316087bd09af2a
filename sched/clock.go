package sched

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// BeatLength is the resolution of the coarse clock.
	BeatLength = time.Millisecond
	// NoBeat is a number that no beat has.
	NoBeat = ^uint32(0)

	// Remembered is a little less than what the clock remembers of the past. A longer duration is not
	// to be counted from an Anchor.
	Remembered = (ringLen - 2) * BeatLength

	quietBeats = 8       // beats without a call after which the clock stops
	ringLen    = 1 << 13 // beats whose time is remembered
)

// clock counts beats. A runtime timer advances it every BeatLength while calls come in; after
// quietBeats beats without one it stores 0 and does not re-arm the timer, so it costs an idle process
// nothing. Whoever polls a stopped clock sees a changed number, takes its slow path and winds it up
// again.
type clock struct {
	base    time.Time
	beat    atomic.Uint32 // number of the last beat, 0: stopped
	touched atomic.Bool   // a call began since the last beat
	_       [64]byte      // what is polled shares no cache line with what is written
	mu      sync.Mutex
	last    uint32
	ring    [ringLen]int64 // when beat n was, at n % ringLen
	quiet   int
	timer   *time.Timer
}

func (c *clock) now() int64 { return int64(time.Since(c.base)) }

func (c *clock) begin() uint32 {
	if !c.touched.Load() {
		c.touched.Store(true)
	}
	if n := c.beat.Load(); n != 0 {
		return n
	}
	return c.wind()
}

func (c *clock) wind() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.beat.Load(); n != 0 {
		return n
	}
	c.touched.Store(true)
	c.advance()
	return c.last
}

// advance makes a beat and arms the timer for the next one. The caller holds mu.
func (c *clock) advance() {
	first := c.last + 1
	for c.last = first; c.last == 0 || c.last == NoBeat; {
		c.last++
	}
	c.beat.Store(c.last)
	now := c.now() // read after the store: a call that still saw the beat before began earlier than this
	for n := first; ; n++ {
		if c.ring[n%ringLen] = now; n == c.last {
			break
		}
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(BeatLength, c.tick)
	} else {
		c.timer.Reset(BeatLength)
	}
}

func (c *clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.touched.Swap(false) {
		c.quiet = 0
	} else if c.quiet++; c.quiet > quietBeats && c.stop() {
		return
	}
	c.advance()
}

// stop stops the clock, unless a call has begun meanwhile: it may have seen the last beat, and counts on
// the next.
func (c *clock) stop() bool {
	c.quiet = 0
	c.beat.Store(0)
	return !c.touched.Load()
}

func (c *clock) anchor(n uint32) int64 {
	c.mu.Lock() // slow paths only
	defer c.mu.Unlock()
	switch d := c.last - n; {
	case d == 0:
		return c.now()
	case d < ringLen:
		return c.ring[(n+1)%ringLen]
	default: // forgotten: beats come no earlier than BeatLength apart
		return c.now() - int64(d-1)*int64(BeatLength)
	}
}
