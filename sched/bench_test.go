package sched

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// waiter is a node that waits on a timer of the runtime's, which is set again and again.
type waiter struct {
	timer *time.Timer
	fired atomic.Bool
}

// BenchmarkPendingTimers is what 100,000 pending waits cost in memory, and each Reset in time.
func BenchmarkPendingTimers(b *testing.B) {
	const n = 100_000
	waiters := make([]waiter, n)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range waiters {
		w := &waiters[i]
		w.timer = time.AfterFunc(time.Hour+time.Duration(i)*time.Millisecond, func() { w.fired.Store(true) })
	}
	size, goroutines := float64(heap()-before)/n, runtime.NumGoroutine()-goroutines
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		waiters[rnd.IntN(n)].timer.Reset(time.Hour + time.Duration(rnd.IntN(int(time.Hour))))
	}
	b.ReportMetric(size, "B/timer")
	b.ReportMetric(float64(goroutines), "goroutines")
	for i := range waiters {
		waiters[i].timer.Stop()
	}
}

// busy is a Job whose items compute for a while.
type busy struct{ rounds int }

var sink atomic.Uint64

func (b *busy) Run(i int) {
	x := uint64(i) + 1
	for range b.rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		sink.Add(1)
	}
}

func (b *busy) serial(n int) {
	for i := range n {
		b.Run(i)
	}
}

func (b *busy) goroutines(n int) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { b.Run(i) })
	}
	wg.Wait()
}

// busyFor returns a job whose items take about d.
func busyFor(d time.Duration) *busy {
	b := &busy{1 << 16}
	best := time.Hour
	for range 50 {
		start := time.Now()
		b.Run(1)
		best = min(best, time.Since(start))
	}
	return &busy{int(float64(b.rounds) * float64(d) / float64(best))}
}

// BenchmarkSpread compares, in one run and in turns, 8 items on the crew, one after the other, and each
// on a goroutine of its own. The time per operation is that of one turn of each.
func BenchmarkSpread(b *testing.B) {
	atLeastTwo(b)
	s := New()
	defer s.Close()
	s.Crew()
	s.Enter()
	defer s.Leave()
	const n = 8
	for _, d := range []time.Duration{100 * time.Nanosecond, time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
		b.Run(fmt.Sprint(n, "x", d), func(b *testing.B) {
			job := busyFor(d)
			run := [3]func(){
				func() {
					if !s.Spread(job, n, 0) {
						b.Fatal("there is no crew")
					}
				},
				func() { job.serial(n) },
				func() { job.goroutines(n) },
			}
			var took [3][]float64
			batch := max(1, int(50*time.Microsecond/(n*d)))
			for b.Loop() {
				for k, f := range run {
					for k == 0 && s.Helpers() == 0 { // as in a server that is busy, a loop is awake
						if s.crew.idle.Load() != 0 {
							s.Spread(job, n, 1)
						}
					}
					start := time.Now()
					for range batch {
						f()
					}
					took[k] = append(took[k], float64(time.Since(start))/float64(batch))
				}
			}
			for k := range took {
				slices.Sort(took[k])
			}
			mid := len(took[0]) / 2
			b.ReportMetric(took[0][0], "ns/min")
			b.ReportMetric(took[0][mid], "ns/median")
			b.ReportMetric(took[1][0]/took[0][0], "serial/min")
			b.ReportMetric(took[1][mid]/took[0][mid], "serial/median")
			b.ReportMetric(took[2][0]/took[0][0], "goroutines/min")
			b.ReportMetric(took[2][mid]/took[0][mid], "goroutines/median")
		})
	}
}
