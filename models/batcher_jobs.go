package models

import (
	"context"
	"slices"
	"sync/atomic"
)

// job is one sequence to be computed, for all calls that want it.
type job struct {
	ids     []int32
	hash    uint64
	vector  []float32 // (dim,)
	err     error
	state   state
	class   class
	tickets *ticket       // of calls that wait for it
	refs    int           // tickets of calls that wait or have not copied the vector yet
	batch   *batchContext // while a worker computes it
	chain   *job          // the next in the same bucket of flight, or the next free one
	prev    *job          // in its queue
	next    *job
}

// state is how far a job is.
type state uint8

const (
	fresh     state = iota // nobody has taken it
	queued                 // in a queue
	computing              // in a batch
	over
)

// ticket is the claim of a call to a job.
type ticket struct {
	job  *job // nil if the call left before it was over
	call *call
	row  int     // in the call
	next *ticket // of the same job
}

// call is what a caller's goroutine waits with. It has one ticket for each sequence.
type call struct {
	tickets []ticket
	tokens  int
	left    int           // tickets whose job is not over
	waits   bool          // wake gets a token when left comes to 0
	wake    chan struct{} // cap 1
	entered bool          // run was called
	counted bool          // in batcher.waiting
	next    *call         // free
}

// open returns a call without sequences. close must follow.
func (b *batcher) open() *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls
	if c == nil {
		return &call{wake: make(chan struct{}, 1)}
	}
	b.calls, c.next = c.next, nil
	return c
}

// add gives c a sequence, whose ids are copied, for a row of the caller's.
func (b *batcher) add(c *call, ids []int32, row int) {
	b.mu.Lock()
	j := b.jobs.get(b.encoder.dim())
	b.mu.Unlock()
	j.ids = append(j.ids, ids...)
	j.hash = b.flight.hash(ids)
	c.tickets = append(c.tickets, ticket{job: j, call: c, row: row})
	c.tokens += len(ids)
}

// enter takes the jobs of c into flight, or those that fly already in the place of equal ones.
func (b *batcher) enter(c *call, class class) {
	for i := range c.tickets {
		t := &c.tickets[i]
		j := b.flight.find(t.job)
		if j == nil {
			j = t.job
			j.class = class
			b.flight.insert(j)
		} else {
			b.jobs.put(t.job)
			t.job = j
			b.join(j, class)
		}
		t.next, j.tickets = j.tickets, t
		j.refs++
		c.left++
	}
}

// join is for a job in flight that a call of the class wants, too.
func (b *batcher) join(j *job, class class) {
	if class < j.class { // somebody waits for what was bulk
		if j.state == queued {
			b.queues[j.class].remove(j)
			b.queues[class].pushBack(j)
		}
		j.class = class
	}
	if j.tickets == nil && j.batch != nil {
		j.batch.wanted.Add(1)
	}
}

// pushBack queues the jobs of c that nobody has taken.
func (b *batcher) pushBack(c *call) {
	for _, t := range c.tickets {
		if j := t.job; j.state == fresh {
			j.state = queued
			b.queues[j.class].pushBack(j)
		}
	}
}

// pushFront is pushBack before all others of the class.
func (b *batcher) pushFront(c *call) {
	for _, t := range slices.Backward(c.tickets) {
		if j := t.job; j.state == fresh {
			j.state = queued
			b.queues[j.class].pushFront(j)
		}
	}
}

// leave takes back the tickets of c whose jobs are not over. Those that nobody else wants are not
// computed, if there is still time; others are queued, or with somebody.
func (b *batcher) leave(c *call) {
	for i := range c.tickets {
		t := &c.tickets[i]
		j := t.job
		if j.state == over {
			continue
		}
		p := &j.tickets
		for *p != t {
			p = &(*p).next
		}
		*p, t.next, t.job = t.next, nil, nil
		j.refs--
		c.left--
		if j.tickets != nil {
			continue
		}
		switch {
		case j.batch != nil:
			j.batch.wanted.Add(-1)
		case j.state == queued:
			b.queues[j.class].remove(j)
			fallthrough
		case j.state == fresh:
			b.flight.remove(j)
			b.jobs.put(j)
		}
	}
}

// finish ends the jobs of s and wakes who waits for them. If the computation was cancelled, those that
// failed and are wanted are queued again, before all others: the one who cancelled was not alone.
func (b *batcher) finish(s *scratch, cancelled bool) {
	for _, j := range slices.Backward(s.jobs) {
		j.batch = nil
		if cancelled && j.err != nil && j.tickets != nil {
			j.state = queued
			b.queues[j.class].pushFront(j)
			continue
		}
		b.flight.remove(j)
		j.state = over
		for t := j.tickets; t != nil; t = j.tickets {
			j.tickets, t.next = t.next, nil
			c := t.call
			if c.left--; c.left == 0 && c.waits {
				c.waits = false
				c.wake <- struct{}{} // from here on its tickets are its own
			}
		}
		if j.refs == 0 {
			b.jobs.put(j)
		}
	}
	clear(s.jobs)
	s.jobs = s.jobs[:0]
}

// reset gives the jobs of c back, so that it can have others.
func (b *batcher) reset(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(c)
}

// close gives c and its jobs back.
func (b *batcher) close(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(c)
	if c.counted {
		b.waiting--
	}
	if c.entered, c.counted = false, false; cap(c.tickets) <= keep {
		c.next, b.calls = b.calls, c
	}
}

func (b *batcher) drop(c *call) {
	for i := range c.tickets {
		j := c.tickets[i].job
		if j == nil {
			continue
		}
		if j.refs > 0 { // not if it was refused before it entered
			j.refs--
		}
		if j.refs == 0 {
			b.jobs.put(j)
		}
	}
	clear(c.tickets)
	c.tickets, c.tokens = c.tickets[:0], 0
}

// freeJobs keeps the memory of jobs.
type freeJobs struct {
	first *job
	n     int
}

// maxFree bounds the jobs that are kept: with 384 components and 128 tokens 2 MB.
const maxFree = 1024

func (f *freeJobs) get(dim int) *job {
	j := f.first
	if j == nil {
		return &job{vector: make([]float32, dim)}
	}
	f.first, j.chain = j.chain, nil
	f.n--
	return j
}

func (f *freeJobs) put(j *job) {
	if f.n == maxFree || cap(j.ids) > keep {
		return
	}
	j.ids, j.err, j.state = j.ids[:0], nil, fresh
	j.chain, f.first = f.first, j
	f.n++
}

// batchContext is the ctx of a worker's batch: done when the encoder asks while nobody wants any of its
// jobs, and from then on, although they may be wanted again.
type batchContext struct {
	context.Context // Background
	wanted          atomic.Int64
	cancelled       atomic.Bool
}

func (c *batchContext) begin(jobs int) {
	c.Context = context.Background()
	c.wanted.Store(int64(jobs))
	c.cancelled.Store(false)
}

func (c *batchContext) Err() error {
	if !c.cancelled.Load() {
		if c.wanted.Load() > 0 {
			return nil
		}
		c.cancelled.Store(true)
	}
	return context.Canceled
}
