package models

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// works is a cost in real time, which does not give the processor away.
func works(base, row time.Duration) func(context.Context, int) error {
	return func(_ context.Context, rows int) error {
		for end := time.Now().Add(base + time.Duration(rows)*row); time.Now().Before(end); {
		}
		return nil
	}
}

// Many callers at once, on real goroutines: with a fake whose batches are large, and with the network.
func TestBatcherUnderLoad(t *testing.T) {
	fake, _ := fakeModel(t, 64, works(5*time.Microsecond, 100*time.Nanosecond))
	tiny, err := Open("testdata/tiny-bert")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Model{"fake": fake, "tiny": tiny} {
		t.Run(name, func(t *testing.T) {
			sequences, want := make([][]int32, 60), make([][]float32, 60)
			for i := range sequences {
				for j := range 1 + i%20 {
					sequences[i] = append(sequences[i], int32(20+(i*7+j*3)%100))
				}
				want[i] = newDst(m)
				if err := m.embedIDs(t.Context(), settings{direct: true}, m.free.get(), sequences[i], want[i], nil); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for g := range uint64(24) {
				wg.Go(func() {
					rnd, dst := rand.New(rand.NewPCG(g, 0)), newDst(m)
					for range 150 {
						ctx, cancel := context.WithCancel(context.Background())
						if rnd.IntN(4) == 0 {
							time.AfterFunc(time.Duration(rnd.IntN(200))*time.Microsecond, cancel)
						}
						i := rnd.IntN(len(sequences))
						err := m.EmbedIDsInto(ctx, sequences[i], dst)
						if err == nil && !slices.Equal(dst, want[i]) || err != nil && (!errors.Is(err, context.Canceled) || ctx.Err() == nil) {
							t.Errorf("sequence %d: another vector than alone, or %v", i, err)
						}
						cancel()
					}
				})
			}
			wg.Wait()
			checkIdle(t, m)
		})
	}
}

func TestCloseUnderLoad(t *testing.T) {
	for range 50 {
		m, _ := fakeModel(t, 32, works(20*time.Microsecond, 0))
		var calls atomic.Int32
		last, enough := rand.Int32N(100), make(chan struct{})
		var wg sync.WaitGroup
		for id := range int32(16) {
			wg.Go(func() {
				dst := newDst(m)
				for {
					if err := m.EmbedIDsInto(t.Context(), []int32{20 + id, 5, 6}, dst); err != nil {
						if err != ErrClosed {
							t.Error(err)
						}
						return
					}
					if calls.Add(1) == last+1 {
						close(enough)
					}
				}
			})
		}
		<-enough
		checkIdle(t, m)
		wg.Wait()
	}
}

// Callers that wait allocate nothing, nor do workers that begin and end.
func TestWaitingAllocatesNothing(t *testing.T) {
	processors(t, 2)
	const callers, calls, rounds = 16, 300, 6
	m, e := fakeModel(t, 32, works(5*time.Microsecond, 0))
	e.silent = true
	var begin [rounds]chan struct{}
	for i := range begin {
		begin[i] = make(chan struct{})
	}
	var wg, round sync.WaitGroup
	for id := range int32(callers) {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ids, dst := []int32{20 + id/2, 5, 6, 7, 8, 9, 10, 11}, newDst(m)
			texts, many := []string{"cat", "dog", "hello world", "cat"}, make([]float32, 4*m.Dim())
			for _, c := range begin {
				<-c
				for i := range calls {
					if err := m.EmbedIDsInto(ctx, ids, dst); err != nil {
						t.Error(err)
					}
					if i%8 == 0 {
						if err := m.EmbedBatchInto(ctx, texts, many, nil); err != nil {
							t.Error(err)
						}
					}
				}
				round.Done()
			}
		})
	}
	least := uint64(1 << 60) // what else runs in the process allocates, too
	for _, c := range begin {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		round.Add(callers)
		close(c)
		round.Wait()
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	wg.Wait()
	if least > 20 {
		t.Errorf("%d allocations in %d calls", least, callers*calls)
	}
	t.Logf("%d allocations in %d calls", least, callers*calls)
	checkIdle(t, m)
}

// Calls that wait hold no memory for tokenising, of which there is as much as processors.
func TestWaitingHoldsNoScratch(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, _ := fakeModel(t, 8, sleeps(time.Millisecond, 0))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := m.EmbedInto(t.Context(), "hello world", newDst(m)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()                   // the worker ends
		if n := len(m.free.free); n > 3 { // of the worker, of who computes for itself, of who tokenises
			t.Errorf("20 calls that waited left %d scratches", n)
		}
		checkIdle(t, m)
	})
}
