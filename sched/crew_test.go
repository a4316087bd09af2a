package sched

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
		panic(fmt.Sprintf("item %d of %d has run twice", i, len(j.ran))) // afterwards Spread might hang
	}
	if j.each != nil {
		j.each(i)
	}
}

// spread runs j as a caller does: alone, if need be.
func (j *items) spread(s *Sched, wake int) {
	if !s.Spread(j, len(j.ran), wake) {
		for i := range j.ran {
			j.Run(i)
		}
	}
}

func (j *items) check(t *testing.T) {
	t.Helper()
	for i := range j.ran {
		if j.ran[i].Load() != 1 {
			t.Errorf("item %d of %d has not run", i, len(j.ran))
		}
	}
}

func procs(t testing.TB, n int) {
	old := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
	runtime.GOMAXPROCS(n)
}

// atLeastTwo makes sure that there is a crew.
func atLeastTwo(t testing.TB) { procs(t, max(runtime.GOMAXPROCS(0), 2)) }

func (c *crew) loops() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bits.OnesCount64(c.running)
}

// parkedOwner tells whether the owner of the first slot is parked.
func (c *crew) parkedOwner() bool { return c.slots[0].left.Load() >= parked }

func until(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

func TestSpreadRefuses(t *testing.T) {
	procs(t, 3)
	s := New()
	if s.Spread(newItems(1, nil), 1, 0) {
		t.Error("it ran before anybody asked for a crew")
	}
	if n := s.Crew(); n != 2 {
		t.Errorf("a crew of %d at GOMAXPROCS 3", n)
	}
	for _, n := range []int{-1, 0, maxItems + 1} {
		if s.Spread(newItems(1, nil), n, 0) {
			t.Errorf("%d items have run", n)
		}
	}
	s.Close()
	s.Close()
	if s.Spread(newItems(1, nil), 1, 1) || s.Crew() != 0 {
		t.Error("there is a crew after Close")
	}
}

func TestNoCrewOnOneProcessor(t *testing.T) {
	procs(t, 1)
	inBubble(t, func(t *testing.T, s *Sched) {
		if s.Crew() != 0 || s.crew.pool != nil || s.Spread(newItems(1, nil), 1, 1) {
			t.Error("there is a crew at GOMAXPROCS 1")
		}
	})
}

// oneForALoop returns two items: the first, which the owner takes, ends when the second has begun, and the
// second does what it is told.
func oneForALoop(second func()) *items {
	begun := make(chan bool)
	j := newItems(2, nil)
	j.each = func(i int) {
		if i == 0 {
			<-begun
			return
		}
		close(begun)
		second()
	}
	return j
}

// A loop takes items from the high end, and the owner parks until it has finished them.
func TestOwnerWaitsForLoops(t *testing.T) {
	atLeastTwo(t)
	inBubble(t, func(t *testing.T, s *Sched) {
		s.Crew()
		for range 100 {
			j := oneForALoop(func() { until(s.crew.parkedOwner) })
			if !s.Spread(j, 2, 1) {
				t.Fatal("not run")
			}
			j.check(t)
		}
	})
}

// Goexit on the owner takes the items with it that nobody has begun, and waits for the others.
func TestGoexitOnOwner(t *testing.T) {
	procs(t, 2) // a second loop would take more
	inBubble(t, func(t *testing.T, s *Sched) {
		s.Crew()
		for range 100 {
			taken, ended := make(chan bool), atomic.Bool{}
			j := newItems(8, nil)
			j.each = func(i int) {
				switch i {
				case 0:
					<-taken
					runtime.Goexit()
				case 7:
					close(taken)
					until(s.crew.parkedOwner)
					ended.Store(true)
				default:
					t.Errorf("item %d has run", i)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() {
					if !ended.Load() {
						t.Error("the owner left before the loop")
					}
				}()
				s.Spread(j, 8, 1)
				t.Error("Spread returned from Goexit")
			})
			wg.Wait()
			if s.crew.free.Load() != 1<<maxSlots-1 || s.crew.active.Load() != 0 {
				t.Fatal("the slot is not free")
			}
		}
	})
}

func TestGoexitOnLoop(t *testing.T) {
	procs(t, 2)
	inBubble(t, func(t *testing.T, s *Sched) {
		s.Crew()
		for range 100 {
			j := oneForALoop(runtime.Goexit)
			if !s.Spread(j, 2, 1) {
				t.Fatal("not run")
			}
			synctest.Wait()
			if n := s.crew.loops(); n != 1 {
				t.Fatalf("%d loops, want 1", n)
			}
		}
	})
}

// A job in an item of a job, and so on until there is no slot left.
func TestNestedUntilFull(t *testing.T) {
	atLeastTwo(t)
	inBubble(t, func(t *testing.T, s *Sched) {
		s.Crew()
		for range 20 {
			depth := 0
			var nest func(int)
			nest = func(int) {
				depth++
				level := depth
				if ok := s.Spread(newItems(1, nest), 1, 1); ok != (level <= maxSlots) {
					t.Errorf("at depth %d Spread returned %v", level, ok)
				}
			}
			nest(0)
			if depth != maxSlots+1 {
				t.Errorf("%d slots, want %d", depth-1, maxSlots)
			}
		}
	})
}

func TestCrewFollowsGOMAXPROCS(t *testing.T) {
	procs(t, 2)
	inBubble(t, func(t *testing.T, s *Sched) {
		for _, n := range []int{2, 5, 3, 1, 1, 4, 2, 70, 1, 2} {
			runtime.GOMAXPROCS(n)
			time.Sleep(2 * BeatLength)
			if got := s.Crew(); got != min(n-1, maxLoops) {
				t.Errorf("a crew of %d at GOMAXPROCS %d", got, n)
			}
			synctest.Wait()
			if got := s.crew.loops(); got != min(n-1, maxLoops) {
				t.Errorf("%d loops at GOMAXPROCS %d", got, n)
			}
			j := newItems(100, nil)
			j.spread(s, n)
			j.check(t)
		}
	})
}

// Loops count their rounds: the bubble's clock stands still while they spin, and goes on when they
// have parked.
func TestLoopsPark(t *testing.T) {
	procs(t, 3)
	inBubble(t, func(t *testing.T, s *Sched) {
		s.Enter()
		defer s.Leave()
		s.Crew()
		for range 20 {
			newItems(50, nil).spread(s, 2)
			synctest.Wait()
			if idle := s.crew.idle.Load(); idle != 3 || s.Helpers() != 0 {
				t.Errorf("idle loops %b, %d helpers", idle, s.Helpers())
			}
		}
		start := time.Now()
		time.Sleep(time.Hour)
		if time.Since(start) != time.Hour {
			t.Error("time does not pass")
		}
	})
}

// spinning counts how often a goroutine gets its turn while a loop finds no work.
func spinning(s *Sched, turn func(n int)) (n int) {
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; !over.Load(); n++ {
			turn(n)
			runtime.Gosched()
		}
	})
	s.crew.spin()
	over.Store(true)
	wg.Wait()
	return n
}

// A loop gives up soon when no request is inside, but not because one is outside for a moment.
func TestLoopsLookForWorkInRequests(t *testing.T) {
	procs(t, 1) // so that the two take turns
	s := New()
	defer s.Close()
	s.crew.limit.Store(1) // as if there were a core besides
	if n := spinning(s, func(int) {}); n > 4*quietRounds {
		t.Errorf("%d rounds without a request", n)
	}
	s.Enter()
	if n := spinning(s, func(int) {}); n < spinRounds/2 || n > 2*spinRounds {
		t.Errorf("%d rounds within a request, want %d", n, spinRounds)
	}
	n := spinning(s, func(n int) {
		switch n % 8 {
		case 2:
			s.Leave()
		case 6:
			s.Enter()
		}
	})
	if n < spinRounds/2 {
		t.Errorf("%d rounds while requests come and go, want %d", n, spinRounds)
	}
	s.Enter()
	s.Enter() // two, and so no core for the loop
	if n := spinning(s, func(int) {}); n > 4*quietRounds {
		t.Errorf("%d rounds while each core has a request of its own", n)
	}
}

// mixed spreads random jobs, in items of which there are more; some items call Goexit.
func mixed(s *Sched, rnd *rand.Rand, depth int) (j *items, whole *atomic.Bool) {
	n, dies := 1+rnd.IntN(12), -1
	if rnd.IntN(8) == 0 {
		dies = rnd.IntN(n)
	}
	seed := rnd.Uint64()
	j, whole = newItems(n, nil), new(atomic.Bool)
	j.each = func(i int) {
		if rnd := rand.New(rand.NewPCG(seed, uint64(i))); depth > 0 && rnd.IntN(4) == 0 {
			mixed(s, rnd, depth-1)
		}
		if i == dies {
			runtime.Goexit()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if s.Enter(); rnd.IntN(2) == 0 {
			s.Crew()
		}
		defer s.Leave()
		if s.Spread(j, n, rnd.IntN(3)) {
			whole.Store(true)
		}
	})
	wg.Wait()
	return j, whole
}

// TestCrewUnderLoad has more owners than slots, nested jobs, Goexit, a GOMAXPROCS that changes, and in
// the end Close. A bubble sees that no goroutine stays.
func TestCrewUnderLoad(t *testing.T) {
	procs(t, 2)
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	var whole atomic.Int32
	for seed := range uint64(3) {
		inBubble(t, func(t *testing.T, s *Sched) {
			s.Crew()
			var wg sync.WaitGroup
			for owner := range uint64(maxSlots + 16) {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, owner))
					for round := range rounds {
						j, ok := mixed(s, rnd, 2)
						if ok.Load() {
							whole.Add(1)
							j.check(t)
						}
						switch {
						case owner == 0 && round%10 == 0:
							runtime.GOMAXPROCS(1 + rnd.IntN(5))
						case owner == 1 && round == rounds*3/4:
							s.Close()
						}
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			if n := s.crew.loops(); n != 0 || s.crew.free.Load() != 1<<maxSlots-1 || s.crew.active.Load() != 0 {
				t.Errorf("after Close: %d loops, free %x, active %x", n, s.crew.free.Load(), s.crew.active.Load())
			}
		})
	}
	if whole.Load() == 0 {
		t.Error("nothing was spread")
	}
}

// TestSpreadHot has jobs of many items that do nothing: an owner and two loops meet at the claim all the
// time.
func TestSpreadHot(t *testing.T) {
	procs(t, 3)
	s := New()
	defer s.Close()
	s.Crew()
	j := newItems(maxItems, nil)
	helped := 0
	for round := 0; round < 500 && helped < 5*maxItems; round++ {
		for i := range j.ran {
			j.ran[i].Store(0)
		}
		if !s.Spread(j, maxItems, 2) {
			t.Fatal("not run")
		}
		j.check(t)
		helped += maxItems - claim(s.crew.slots[0].claim.Load()).lo()
	}
	t.Logf("loops ran %d items", helped)
}

func TestSpreadAllocatesNothing(t *testing.T) {
	atLeastTwo(t) // testing.AllocsPerRun would set GOMAXPROCS to 1
	s := New()
	defer s.Close()
	s.Crew()
	s.Enter()
	defer s.Leave()
	j := new(pair)
	var before, after runtime.MemStats
	least := ^uint64(0)
	for range 20 {
		runtime.ReadMemStats(&before)
		for range 200 {
			j.taken.Store(false)
			if !s.Spread(j, 2, 1) {
				t.Fatal("not run")
			}
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs) // the runtime itself may allocate meanwhile
	}
	if least != 0 {
		t.Errorf("200 jobs allocated %d times", least)
	}
}

// pair is a Job of two items, of which a loop must take the second.
type pair struct{ taken atomic.Bool }

func (p *pair) Run(i int) {
	if i == 1 {
		p.taken.Store(true)
	} else {
		until(p.taken.Load)
	}
}

func TestSpawn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Sched) {
		for range 50 {
			if err := s.Spawn(sleep(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Go(sleep(time.Second)); err != nil {
			t.Errorf("what was spawned takes the place of a blocking step: %v", err)
		}
		wantLane(t, s, 1, 0)
		time.Sleep(time.Second + idleLimit) // they leave, otherwise the bubble would wait for them
		synctest.Wait()
		if n, _ := s.calls.Size(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
		s.Close()
		if err := s.Spawn(sleep(0)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}, MaxBlocking(1))
}

// Each core has a request of its own: so many are inside.
func TestBusy(t *testing.T) {
	s := New()
	defer s.Close()
	loops := s.Crew()
	for range loops {
		s.Enter()
	}
	if s.Busy() {
		t.Errorf("%d requests inside are too many for %d loops and their callers", loops, loops)
	}
	s.Enter()
	if !s.Busy() {
		t.Errorf("%d requests inside leave no core to any of %d loops", loops+1, loops)
	}
	for range loops + 1 {
		s.Leave()
	}
	if s.Busy() && loops > 0 {
		t.Error("busy without a request inside")
	}
}
