package models

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// batcher lets calls that are inside at the same time share the encoder. As many computations run as
// there are processors, each in a slot. A call that finds a slot free and nobody waiting computes its
// texts itself, at once, on its own goroutine. The others queue theirs and wait. Whoever is done with
// a slot while texts are queued leaves it to a worker: a goroutine that computes batches of what has
// queued up meanwhile until nothing is left, and ends. So company is never waited for where a slot is
// free, batches grow with the load by themselves, and an idle model has no goroutine and no timer.
//
// A worker computes into the memory of jobs, and callers copy out of it. So a caller leaves when its
// ctx is done, whatever its text does at the time, and is never written to afterwards.
type batcher struct {
	encoder encoder
	tokens  int // of a batch
	gate    *gate
	free    *scratches
	start   func() // work, as a value: starting it allocates nothing

	mu      sync.Mutex
	running int // slots in use
	waiting int // calls that had to wait and are still inside
	queues  [classes]queue
	credit  int // tokens of interactive texts that were computed while bulk waited, see pick
	flight  flight
	trial   trial
	jobs    freeJobs
	calls   *call // free
}

func newBatcher(e encoder, g *gate, free *scratches) *batcher {
	b := &batcher{encoder: e, tokens: e.batchTokens(), gate: g, free: free, flight: newFlight(), trial: trial{every: 1}}
	b.start = b.work
	return b
}

// run sees to it that the jobs of c are done, or gone when ctx is done: then it returns ctx.Err().
// c may be run again with other jobs. limit bounds the calls that wait; it is asked the first time only,
// so that a call of many texts is not refused half-way.
func (b *batcher) run(ctx context.Context, c *call, class class, limit int) error {
	if len(c.tickets) == 0 {
		return nil
	}
	b.mu.Lock()
	alone := b.running < b.slots() && !b.queued()
	if !alone && !c.entered && b.waiting >= limit {
		b.mu.Unlock()
		return ErrOverloaded
	}
	c.entered = true
	b.enter(c, class)
	if alone {
		b.running++
		if class == interactive && !b.trial.due() || !b.letOthersIn() {
			return b.alone(ctx, c)
		}
		b.pushFront(c) // its texts and those of who came meanwhile are one batch for a worker
		b.pass()
	} else {
		b.pushBack(c)
		b.hire()
	}
	if !c.counted {
		c.counted = true
		b.waiting++
	}
	return b.wait(ctx, c)
}

// slots is the number of computations that may run. The lone caller has one without asking, for the
// runtime takes a lock to answer. GOMAXPROCS follows the CPU limit of a container.
func (b *batcher) slots() int {
	if b.running == 0 {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// hire starts a worker if texts are queued and a slot is free.
func (b *batcher) hire() {
	if b.queued() && b.running < b.slots() {
		b.running++
		b.pass()
	}
}

// pass leaves the slot of the caller, who is inside the gate, to a worker, or gives it up if nothing
// is queued.
func (b *batcher) pass() {
	if !b.queued() {
		b.running--
		return
	}
	b.gate.hold()
	go b.start()
}

// alone computes the jobs of c that nobody has taken, in the slot of the caller and under its ctx, and
// waits for the others. It is called with b.mu held, and unlocks it.
func (b *batcher) alone(ctx context.Context, c *call) error {
	s := b.free.get()
	var err error
	for err == nil && b.chunk(c, s) {
		b.mu.Unlock()
		b.compute(ctx, s)
		for _, j := range s.jobs {
			if j.err != nil {
				err = ctx.Err()
				break
			}
		}
		b.mu.Lock()
		b.finish(s, err != nil)
	}
	b.free.put(s)
	if err != nil {
		b.leave(c)
	}
	b.pass()
	if err != nil {
		b.mu.Unlock()
		return err
	}
	return b.wait(ctx, c)
}

// chunk moves jobs of c that nobody has taken to s, as many as make a batch, and reports whether there
// were any.
func (b *batcher) chunk(c *call, s *scratch) bool {
	room := b.tokens
	for _, t := range c.tickets {
		j := t.job
		if j.state != fresh {
			continue
		}
		if len(s.jobs) > 0 && len(j.ids) > room {
			break
		}
		room -= len(j.ids)
		j.state = computing
		s.jobs = append(s.jobs, j)
	}
	return len(s.jobs) > 0
}

// wait returns when the jobs of c are done or ctx is. It is called with b.mu held, and unlocks it.
func (b *batcher) wait(ctx context.Context, c *call) error {
	if c.left == 0 {
		b.mu.Unlock()
		return nil
	}
	c.waits = true
	b.mu.Unlock()
	select {
	case <-c.wake:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.waits = false
	if c.left == 0 { // woken at the same time
		<-c.wake
		return nil
	}
	b.leave(c)
	return ctx.Err()
}

// work computes batches in a slot, which it was left, until nothing is queued.
func (b *batcher) work() {
	defer b.gate.leave()
	s := b.free.get()
	defer b.free.put(s)
	away := 0
	b.mu.Lock()
	for b.pick(s) {
		b.hire() // when the number of processors has risen
		b.mu.Unlock()
		b.compute(&s.batchContext, s)
		b.mu.Lock()
		b.finish(s, s.batchContext.cancelled.Load())
		b.mu.Unlock()
		// Whoever has its vector now goes on before the next batch and not after it, and may be back
		// with its next text in time for it.
		if away > 0 {
			away--
		} else if takesLong(runtime.Gosched) {
			away = 8
		}
		b.mu.Lock()
	}
	b.running--
	b.mu.Unlock()
}

// compute makes the vectors, or errors, of s.jobs. A panic fails the job alone that made it.
func (b *batcher) compute(ctx context.Context, s *scratch) {
	for _, j := range s.jobs {
		s.batch = append(s.batch, sequence{ids: j.ids, dst: j.vector})
	}
	if err := b.try(ctx, s.batch, s); err != nil {
		for i := range s.batch {
			s.batch[i].err = err
			if len(s.batch) > 1 {
				s.batch[i].err = nil
				if err := b.try(ctx, s.batch[i:i+1], s); err != nil {
					s.batch[i].err = err
				}
			}
		}
	}
	for i, j := range s.jobs {
		j.err = s.batch[i].err
	}
	clear(s.batch)
	s.batch = s.batch[:0]
}

// try returns the panic of a computation.
func (b *batcher) try(ctx context.Context, batch []sequence, s *scratch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{p, debug.Stack()}
		}
	}()
	b.encoder.embedBatch(ctx, batch, s)
	return nil
}

// maxWait is what a turn of other goroutines may take. Where it takes longer, processors are short and
// goroutines that have nothing to do with the model use them: then turns are not given for a while.
const maxWait = time.Millisecond

func takesLong(f func()) bool {
	start := time.Now()
	f()
	return time.Since(start) > maxWait
}

// trial says when a call that could compute at once lets other goroutines run first. On a busy
// processor callers come in one after the other and would never meet, although all are ready to run.
// Where they are, one such turn brings many texts together. Whether they are only a trial tells: the
// calls between two of them double when one brought nobody and halve when it did.
type trial struct {
	every, left int
}

const maxEvery = 1024

func (t *trial) due() bool {
	if t.left++; t.left < t.every {
		return false
	}
	t.left = 0
	return true
}

// letOthersIn gives others a turn and reports whether they have queued texts. b.mu is held before and
// after, and the caller has a slot.
func (b *batcher) letOthersIn() bool {
	b.mu.Unlock()
	long := takesLong(runtime.Gosched)
	b.mu.Lock()
	switch came := b.queued(); {
	case long:
		b.trial.every = maxEvery
		return came
	case came:
		b.trial.every = max(b.trial.every/2, 1)
		return true
	default:
		b.trial.every = min(b.trial.every*2, maxEvery)
		return false
	}
}
