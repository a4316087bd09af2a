package models

import (
	"math/rand/v2"
	"slices"
)

// class says who goes first.
type class uint8

const (
	interactive class = iota
	bulk
	classes
)

// queue holds jobs in the order in which they came.
type queue struct{ first, last *job }

func (q *queue) pushBack(j *job) {
	if j.prev, j.next = q.last, nil; j.prev != nil {
		j.prev.next = j
	} else {
		q.first = j
	}
	q.last = j
}

func (q *queue) pushFront(j *job) {
	if j.prev, j.next = nil, q.first; j.next != nil {
		j.next.prev = j
	} else {
		q.last = j
	}
	q.first = j
}

func (q *queue) remove(j *job) {
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		q.first = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		q.last = j.prev
	}
	j.prev, j.next = nil, nil
}

func (b *batcher) queued() bool {
	return b.queues[interactive].first != nil || b.queues[bulk].first != nil
}

// bulkShare is the number of tokens of interactive texts after which bulk is due one, if it waits.
const bulkShare = 3

// pick moves the jobs of the next batch from the queues to s, in the order in which they came, as many
// as the budget allows and at least one. Interactive ones come first, except that a quarter of the
// tokens are for bulk when both wait; what interactive ones leave of the budget is bulk's, too. It
// reports false when nothing is queued, or more slots are in use than there are processors now.
func (b *batcher) pick(s *scratch) bool {
	if !b.queued() || b.running > b.slots() {
		return false
	}
	room := b.tokens
	take := func(class class, due int) (tokens int) {
		q := &b.queues[class]
		for j := q.first; j != nil; j = q.first {
			n := len(j.ids)
			if len(s.jobs) > 0 && n > room || tokens+n > due {
				break
			}
			q.remove(j)
			j.state, j.batch = computing, &s.batchContext
			s.jobs = append(s.jobs, j)
			room -= n
			tokens += n
		}
		return tokens
	}
	const all = int(^uint(0) >> 1)
	b.credit -= bulkShare * take(bulk, b.credit/bulkShare)
	b.credit += take(interactive, all)
	take(bulk, all)
	if b.queues[bulk].first == nil {
		b.credit = 0
	}
	s.batchContext.begin(len(s.jobs))
	return true
}

// flight finds the jobs that are queued or computed by their ids, so that equal ones are computed once.
type flight struct {
	seed    uint64
	buckets [512]*job
}

func newFlight() flight { return flight{seed: rand.Uint64()} }

func (f *flight) hash(ids []int32) uint64 {
	h := f.seed
	for _, id := range ids {
		h = (h ^ uint64(uint32(id))) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return h
}

func (f *flight) bucket(j *job) **job { return &f.buckets[j.hash%uint64(len(f.buckets))] }

// find returns the job in flight that is equal to j, or nil.
func (f *flight) find(j *job) *job {
	o := *f.bucket(j)
	for o != nil && (o.hash != j.hash || !slices.Equal(o.ids, j.ids)) {
		o = o.chain
	}
	return o
}

func (f *flight) insert(j *job) {
	p := f.bucket(j)
	j.chain, *p = *p, j
}

func (f *flight) remove(j *job) {
	p := f.bucket(j)
	for *p != j {
		p = &(*p).chain
	}
	*p, j.chain = j.chain, nil
}
