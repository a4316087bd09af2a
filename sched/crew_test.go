package sched

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// items is a Job that counts how often each item has run.
type items struct {
	ran  []atomic.Int32
	each func(i int)
}

func newItems(n int, each func(i int)) *items {
	return &items{ran: make([]atomic.Int32, n), each: each}
}

func (j *items) Run(i int) {
	if n := j.ran[i].Add(1); n > 1 {
		panic(fmt.Sprintf("item %d of %d has run twice", i, len(j.ran))) // afterwards Spread may hang
	}
	if j.each != nil {
		j.each(i)
	}
}

func (j *items) spread(t *testing.T, s *Sched) {
	t.Helper()
	if !s.Spread(j, len(j.ran), s.Crew()) {
		for i := range j.ran {
			j.Run(i)
		}
	}
	for i := range j.ran {
		if j.ran[i].Load() != 1 {
			t.Errorf("item %d of %d has not run", i, len(j.ran))
		}
	}
}

func atLeastTwo(t testing.TB) {
	old := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
	runtime.GOMAXPROCS(max(old, 2))
}

func TestSpread(t *testing.T) {
	atLeastTwo(t)
	s := New()
	defer s.Close()
	for n := range 2000 {
		newItems(1+n%70, nil).spread(t, s)
	}
}
