package sched

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/internal/lane"
)

const idleLimit = lane.IdleLimit

// job is Work made of functions.
type job struct {
	run, over func()
}

func (j job) Run() { j.run() }

func (j job) Over() {
	if j.over != nil {
		j.over()
	}
}

func sleep(d time.Duration) job { return job{run: func() { time.Sleep(d) }} }

func wantLane(t *testing.T, s *Sched, blocking, idle int) {
	t.Helper()
	synctest.Wait()
	if got := s.Stats(); got.Blocking != blocking || got.Idle != idle {
		t.Errorf("the lane has %d goroutines, %d idle, want %d and %d", got.Blocking, got.Idle, blocking, idle)
	}
}

func TestLaneOverloaded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		for range 3 {
			if err := s.Go(sleep(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		before := time.Now()
		if err := s.Go(sleep(0)); !errors.Is(err, ErrOverloaded) || time.Since(before) != 0 {
			t.Errorf("the fourth of three got %v after %v", err, time.Since(before))
		}
		wantLane(t, s, 3, 0)
		time.Sleep(time.Second)
		wantLane(t, s, 3, 3)
		if err := s.Go(sleep(0)); err != nil {
			t.Errorf("an idle goroutine was not used: %v", err)
		}
		wantLane(t, s, 3, 3)
	}, MaxBlocking(3))
}

func TestLaneBounds(t *testing.T) {
	for _, c := range []struct {
		opts []Option
		want int
	}{
		{nil, DefaultMaxBlocking},
		{[]Option{MaxBlocking(0)}, DefaultMaxBlocking},
		{[]Option{MaxBlocking(-1)}, DefaultMaxBlocking},
		{[]Option{MaxBlocking(7)}, 7},
	} {
		if got := New(c.opts...).lane.Max; got != c.want {
			t.Errorf("New(%v) has a lane of %d, want %d", c.opts, got, c.want)
		}
	}
}

// Who is told that work is over may count on a free goroutine, also on a lane of one.
func TestLaneIsFreeWhenWorkIsOver(t *testing.T) {
	s := New(MaxBlocking(1))
	defer s.Close()
	for i := range 2000 {
		over := make(chan bool, 1)
		j := job{run: func() {}, over: func() { over <- true }}
		if i%5 == 0 {
			j.run = runtime.Goexit
		}
		if err := s.Go(j); err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		<-over
	}
}

func TestLaneIdleLeave(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		for range 5 {
			_ = s.Go(sleep(time.Second))
		}
		time.Sleep(time.Second)
		wantLane(t, s, 5, 5)
		// One piece of work a second always uses the one that was used last: the others grow old.
		for range 9 {
			_ = s.Go(sleep(time.Millisecond))
			time.Sleep(time.Second)
		}
		wantLane(t, s, 5, 5)
		time.Sleep(time.Second)
		wantLane(t, s, 1, 1)
		time.Sleep(idleLimit)
		wantLane(t, s, 0, 0)
		_ = s.Go(sleep(time.Millisecond)) // and the lane still works
		time.Sleep(idleLimit)
		wantLane(t, s, 1, 1)
		time.Sleep(time.Millisecond)
		wantLane(t, s, 0, 0)
	})
}

func TestLaneGoexit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		overs := 0
		for range 10 {
			if err := s.Go(job{run: runtime.Goexit, over: func() { overs++ }}); err != nil {
				t.Fatal(err)
			}
			wantLane(t, s, 0, 0)
		}
		if overs != 10 {
			t.Errorf("10 runs that called Goexit told of %d", overs)
		}
	}, MaxBlocking(1))
}

func TestLaneClose(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		overs := 0
		over := func() { overs++ }
		_ = s.Go(job{run: func() { time.Sleep(time.Second) }, over: over})
		_ = s.Go(job{run: func() { time.Sleep(time.Hour) }, over: over})
		time.Sleep(2 * time.Second)
		wantLane(t, s, 2, 1)
		for range 2 {
			s.Close()
			wantLane(t, s, 1, 0)
			if err := s.Go(sleep(0)); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		time.Sleep(time.Hour)
		wantLane(t, s, 0, 0)
		if overs != 2 {
			t.Errorf("2 runs told of %d", overs)
		}
	})
}

// TestLaneUnderLoad is for the race detector.
func TestLaneUnderLoad(t *testing.T) {
	s := New(MaxBlocking(8))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 500 {
				over := make(chan bool)
				j := job{run: func() {}, over: func() { close(over) }}
				if (i+k)%9 == 0 {
					j.run = runtime.Goexit
				}
				if err := s.Go(j); err != nil { // never more than 8 at once
					t.Error(err)
					return
				}
				<-over
			}
		})
	}
	wg.Wait()
	s.Close()
}

func TestDefault(t *testing.T) {
	if first, second := Default(), Default(); first != second || first == nil {
		t.Error("the scheduler of the process is not one")
	}
}
