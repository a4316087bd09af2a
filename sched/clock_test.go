package sched

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs f in fake time on a scheduler that is made, and closed, there. The test fails if a
// goroutine is left.
func inBubble(t *testing.T, f func(t *testing.T, s *Sched), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(opts...)
		defer s.Close()
		f(t, s)
	})
}

func TestClockRunsWhileCallsComeIn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		for range 3 {
			if s.Stats().Ticking || s.Beat().Load() != 0 {
				t.Fatal("the clock runs before anybody asked")
			}
			first := s.Begin()
			for i := range uint32(50) { // a call within every 8 beats keeps it going
				if n := s.Begin(); n != first+i*5 {
					t.Fatalf("beat %d after %d ms, want %d", n, i*5, first+i*5)
				}
				time.Sleep(5 * BeatLength)
				synctest.Wait()
			}
			time.Sleep(5 * BeatLength)
			synctest.Wait()
			if s.Stats().Ticking {
				t.Error("the clock still runs 10 beats after the last call")
			}
			time.Sleep(time.Hour)
			if s.Stats().Ticking {
				t.Error("the clock runs an hour after the last call")
			}
		}
	})
}

// A call that saw the last beat while the clock was about to stop keeps it going.
func TestClockCallDuringLastBeat(t *testing.T) {
	var c clock
	if !c.stop() {
		t.Error("a clock without calls does not stop")
	}
	c.touched.Store(true) // what begin does before it reads the beat
	if c.stop() {
		t.Error("the clock stopped under a call that had just begun")
	}
}

func TestAnchor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		rnd := rand.New(rand.NewPCG(1, 2))
		type start struct {
			beat uint32
			at   int64
		}
		var starts []start
		check := func(when string) {
			t.Helper()
			for _, b := range starts {
				d := s.Anchor(b.beat) - b.at
				if remembered := s.Begin()-b.beat < ringLen; d < 0 || remembered && d > int64(BeatLength) {
					t.Fatalf("%s: the anchor of what began at %v is %v later", when, time.Duration(b.at), time.Duration(d))
				}
			}
		}
		for range 2000 {
			starts = append(starts, start{s.Begin(), s.Now()})
			wait := time.Duration(rnd.IntN(2500)) * time.Microsecond
			if rnd.IntN(20) == 0 {
				wait = time.Duration(rnd.IntN(100)) * time.Millisecond // the clock stops
			}
			time.Sleep(wait)
			synctest.Wait()
		}
		check("after two thousand calls")
		for range 2 * ringLen / 8 {
			s.Begin()
			time.Sleep(8 * BeatLength)
			synctest.Wait()
		}
		check("when the first are forgotten")
	})
}

func TestAnchorOfForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		n, start := s.Begin(), s.Now()
		for s.Begin()-n < ringLen+5 {
			time.Sleep(4 * BeatLength)
			synctest.Wait()
		}
		// What is due within Remembered must be over.
		if due := s.Anchor(n) + int64(Remembered); due > s.Now() || s.Anchor(n) < start {
			t.Errorf("a limit of %v that began %v ago is due in %v", Remembered, time.Duration(s.Now()-start), time.Duration(due-s.Now()))
		}
	})
}

func TestAnchorAtLateBeats(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		c := &s.clock
		n := s.Begin()
		c.timer.Stop()
		time.Sleep(40 * BeatLength) // the timer is late
		start := s.Now()            // and a call begins just before it comes
		if a := s.Anchor(n); a < start {
			t.Errorf("before the late beat the anchor is %v early", time.Duration(start-a))
		}
		time.Sleep(time.Microsecond)
		c.tick()
		time.Sleep(3 * BeatLength)
		synctest.Wait()
		if a := s.Anchor(n); a != start+int64(time.Microsecond) {
			t.Errorf("the anchor is %v after the call, want the late beat, 1µs after it", time.Duration(a-start))
		}
	})
}

func TestBeatNumbersWrap(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		c := &s.clock
		c.last = NoBeat - 5
		seen := map[uint32]int64{}
		for range 12 {
			n := s.Begin()
			if n == 0 || n == NoBeat {
				t.Fatalf("a beat has the number %d", n)
			}
			seen[n] = s.Now()
			time.Sleep(BeatLength)
			synctest.Wait()
		}
		if len(seen) != 12 {
			t.Fatalf("12 beats had %d numbers", len(seen))
		}
		for n, at := range seen {
			if d := s.Anchor(n) - at; d != int64(BeatLength) {
				t.Errorf("the anchor of beat %d is %v after it, want %v", n, time.Duration(d), BeatLength)
			}
		}
	})
}

func TestAt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		time.Sleep(time.Second)
		now := time.Now()
		for _, d := range []time.Duration{-time.Hour, 0, 1, time.Hour} {
			at := now.Add(d)
			if got := s.At(at); got != int64(time.Second+d) {
				t.Errorf("At(now + %v) = %v", d, time.Duration(got))
			}
			if got := s.At(at.Round(0)); got != int64(time.Second+d) { // without a monotonic reading
				t.Errorf("At(wall clock + %v) = %v", d, time.Duration(got))
			}
			if got := s.Time(s.At(at)); !got.Equal(at) {
				t.Errorf("Time(At(%v)) = %v", at, got)
			}
		}
		if got := s.At(now.AddDate(5000, 0, 0)); got != math.MaxInt64 {
			t.Errorf("in 5,000 years is %v, want the end of time", time.Duration(got))
		}
	})
}

func TestAdd(t *testing.T) {
	for _, c := range []struct {
		t    int64
		d    time.Duration
		want int64
	}{
		{5, 3, 8}, {5, -3, 2}, {5, 0, 5}, {0, math.MaxInt64, math.MaxInt64},
		{1, math.MaxInt64, math.MaxInt64}, {math.MaxInt64, 1, math.MaxInt64}, {math.MaxInt64, -1, math.MaxInt64 - 1},
	} {
		if got := Add(c.t, c.d); got != c.want {
			t.Errorf("Add(%d, %d) = %d, want %d", c.t, c.d, got, c.want)
		}
	}
}

// TestClockUnderLoad is for the race detector: many goroutines wind, poll and ask while beats come.
func TestClockUnderLoad(t *testing.T) {
	s := New()
	defer s.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				before := s.Now()
				n := s.Begin()
				if a := s.Anchor(n); a < before {
					t.Errorf("an anchor is %v before its call", time.Duration(before-a))
				}
				s.Stats()
			}
		})
	}
	wg.Wait()
}
