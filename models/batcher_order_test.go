package models

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/types"
)

func TestInteractiveGoesFirst(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 16, sleeps(time.Millisecond, 0))
		w := newWaiters(m)
		w.start(t, t.Context(), 20, 8)
		for id := int32(30); id < 34; id++ {
			w.start(t, t.Context(), id, 8, Bulk)
		}
		for id := int32(21); id < 24; id++ {
			w.start(t, t.Context(), id, 8)
		}
		w.start(t, t.Context(), 33, 8, Interactive) // wants what is bulk until now
		w.wg.Wait()
		// After 24 tokens of interactive texts one of 8 is due to bulk.
		if want := [][]int32{{20}, {21, 22}, {23, 33}, {30, 31}, {32}}; !slices.EqualFunc(e.batches, want, slices.Equal[[]int32]) {
			t.Errorf("batches %v, want %v", e.batches, want)
		}
		checkIdle(t, m)
	})
}

// Bulk that comes after many interactive texts were computed has nothing to make up for.
func TestBulkIsDueNothingBefore(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 16, sleeps(time.Millisecond, 0))
		w := newWaiters(m)
		for id := int32(20); id < 40; id++ {
			w.start(t, t.Context(), id, 8)
		}
		time.Sleep(time.Second)
		e.mu.Lock()
		e.batches = nil
		e.mu.Unlock()
		w.start(t, t.Context(), 40, 8)
		w.start(t, t.Context(), 50, 8, Bulk)
		w.start(t, t.Context(), 41, 8)
		w.start(t, t.Context(), 42, 8)
		w.wg.Wait()
		if want := [][]int32{{40}, {41, 42}, {50}}; !slices.EqualFunc(e.batches, want, slices.Equal[[]int32]) {
			t.Errorf("batches %v, want %v", e.batches, want)
		}
		checkIdle(t, m)
	})
}

// However many interactive texts come, a quarter of what is computed is bulk if it waits.
func TestBulkIsNotStarved(t *testing.T) {
	for _, tokens := range []int{1, 16, 64} {
		inBubble(t, 1, func(t *testing.T) {
			m, e := fakeModel(t, tokens, sleeps(time.Millisecond, 0))
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for g := range int32(40) {
				wg.Go(func() {
					dst := newDst(m)
					for i := int32(0); ctx.Err() == nil; i++ {
						m.EmbedIDsInto(ctx, []int32{2, g, i % 100, i / 100, 5, 6, 7, 8}, dst)
					}
				})
			}
			time.Sleep(20 * time.Millisecond)
			for g := range int32(8) { // 64 tokens at a time
				wg.Go(func() {
					dst := newDst(m)
					for i := int32(0); ctx.Err() == nil; i++ {
						tokens := types.TokenizedText{IDs: []int32{1, g, i % 100, i / 100, 5, 6, 7, 8}, Vocab: m.tokenizer.Vocab()}
						m.EmbedTokensInto(ctx, &tokens, dst, Bulk)
					}
				})
			}
			time.Sleep(time.Second)
			cancel()
			wg.Wait()
			bulk, interactive := e.times(1), e.times(2)
			if share := float64(bulk) / float64(bulk+interactive); share < 0.23 || share > 0.27 {
				t.Errorf("%d tokens a batch: %d bulk texts beside %d interactive ones", tokens, bulk, interactive)
			}
			checkIdle(t, m)
		})
	}
}

// A text does not wait for the many of another call, only for those that are computed when it comes.
func TestManyTextsDoNotBlockOne(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		const batch = 10 * time.Millisecond
		m, e := fakeModel(t, 32, sleeps(batch, 0))
		texts := make([]string, 10000)
		for i := range texts {
			texts[i] = fmt.Sprintf("cat %d", i)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			dst := make([]float32, len(texts)*m.Dim())
			if err := m.EmbedBatchInto(ctx, texts, dst, nil); err != context.Canceled {
				t.Error(err)
			}
		})
		for i := range int32(5) {
			time.Sleep(37 * time.Millisecond)
			w := newWaiters(m)
			w.start(t, t.Context(), 100+i, 8)
			for _, class := range []Option{Interactive, Bulk} { // of calls of one class it is first come, first served
				synctest.Wait()
				w.start(t, t.Context(), 110+10*int32(class.Value)+i, 8, class)
			}
			w.wg.Wait()
			for id, at := range w.at {
				if w.errs[id] != nil || at > 3*batch {
					t.Errorf("id %d beside 10,000 texts: %v after %v", id, w.errs[id], at)
				}
			}
		}
		cancel()
		wg.Wait()
		if n := e.times(2); n < 100 {
			t.Errorf("only %d of the many texts were computed meanwhile", n)
		}
		checkIdle(t, m)
	})
}

func TestSlotsFollowTheProcessors(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 8, sleeps(time.Millisecond, 0))
		w := newWaiters(m)
		run := func(procs int, first int32) {
			runtime.GOMAXPROCS(procs)
			e.most.Store(0)
			for id := first; id < first+20; id++ {
				w.start(t, t.Context(), id, 8)
			}
			time.Sleep(5 * time.Millisecond)
			if most := e.most.Load(); most != int64(procs) {
				t.Errorf("%d computations at once on %d processors", most, procs)
			}
		}
		run(1, 20)
		run(3, 40) // while texts are queued
		time.Sleep(time.Second)
		run(2, 60)
		w.wg.Wait()
		// Fewer processors while texts are queued: workers end.
		for id := int32(80); id < 100; id++ {
			w.start(t, t.Context(), id, 8)
		}
		runtime.GOMAXPROCS(1)
		time.Sleep(time.Millisecond + time.Microsecond)
		if n := e.running.Load(); n != 1 {
			t.Errorf("%d computations at once on a processor", n)
		}
		w.wg.Wait()
		for id, err := range w.errs {
			if err != nil {
				t.Errorf("id %d: %v", id, err)
			}
		}
		checkIdle(t, m)
	})
}

// Without batching as many compute as like.
func TestBatchingOff(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 64, sleeps(time.Millisecond, 0))
		w := newWaiters(m)
		for id := int32(20); id < 30; id++ {
			w.start(t, t.Context(), id, 8, Batching(false), QueueLimit(0))
		}
		if n := e.running.Load(); n != 10 {
			t.Errorf("%d of 10 calls compute", n)
		}
		w.wg.Wait()
		for id, err := range w.errs {
			if err != nil || w.at[id] != time.Millisecond {
				t.Errorf("id %d: %v after %v", id, err, w.at[id])
			}
		}
		checkIdle(t, m)
	})
}

// Callers that are all ready to run on one busy processor meet, though none of them finds another one
// inside, and who has its vector goes on before the next batch.
func TestReadyCallersMeet(t *testing.T) {
	processors(t, 1)
	const callers = 40
	var came, back atomic.Int32
	var first int32
	var before []int32 // how many are back when a batch begins
	m, e := fakeModel(t, 8, func(context.Context, int) error {
		before = append(before, back.Load())
		return nil
	})
	begin := make(chan struct{})
	var ready, wg sync.WaitGroup
	for id := int32(20); id < 20+callers; id++ {
		ready.Add(1)
		wg.Go(func() {
			dst := newDst(m)
			ready.Done()
			<-begin
			if came.Add(1) == 1 {
				first = id
			}
			if err := m.EmbedIDsInto(context.Background(), []int32{id}, dst); err != nil {
				t.Error(err)
			}
			back.Add(1)
		})
	}
	ready.Wait()
	close(begin)
	wg.Wait()
	if n := len(e.batches); n > callers/4 { // five, if nothing else runs in this process
		t.Fatalf("%d callers made %d batches", callers, n)
	}
	if e.batches[0][0] != first {
		t.Errorf("the first caller, %d, is not the first in %v", first, e.batches[0])
	}
	if n := before[len(before)-1]; n < callers/2 {
		t.Errorf("when the last of %d batches began %d callers were back", len(before), n)
	}
	checkIdle(t, m)
}

func TestTrial(t *testing.T) {
	b := &batcher{}
	b.trial.every = 1
	turns := func(calls int) (n int) {
		for range calls {
			if b.trial.due() {
				n++
				b.mu.Lock()
				b.letOthersIn()
				b.mu.Unlock()
			}
		}
		return n
	}
	if n := turns(2000); n > 11 {
		t.Errorf("a caller that nobody joins gave %d turns in 2,000 calls", n)
	}
	b.queues[interactive].pushBack(new(job))
	for range 12 {
		turns(b.trial.every)
	}
	if b.trial.every > 2 { // a turn may have taken long here
		t.Errorf("after 12 turns that brought somebody the next is due in %d calls", b.trial.every)
	}
}

// The model's memory is given back only after the last batch, also if its callers have left.
func TestCloseWaitsForTheWorker(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 64, nil)
		closed := false
		e.cost = func(context.Context, int) error { // looks at no ctx
			time.Sleep(10 * time.Millisecond)
			if closed {
				t.Error("computed in memory that was given back")
			}
			return nil
		}
		release := m.gate.release
		m.gate.release = func() error { closed = true; return release() }
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Millisecond)
		defer cancel()
		w := newWaiters(m)
		for id := int32(20); id < 25; id++ {
			w.start(t, ctx, id, 8)
		}
		time.Sleep(11 * time.Millisecond)
		begin := time.Now()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 9*time.Millisecond {
			t.Errorf("Close took %v", d)
		}
		w.wg.Wait()
		if err := m.EmbedIDsInto(ctx, []int32{1}, newDst(m)); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
		checkIdle(t, m)
	})
}
