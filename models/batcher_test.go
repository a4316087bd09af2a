package models

import (
	"cmp"
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

	"github.com/maida-ai/gomai/types"
)

const (
	badID   = 13 // the vector of a sequence with it is not finite
	panicID = 14
)

// fakeEncoder makes vectors of sums, and logs what it was asked for.
type fakeEncoder struct {
	encoder // of the model whose place it takes
	tokens  int
	cost    func(ctx context.Context, rows int) error // of a batch
	each    bool                                      // and of each sequence in it
	running atomic.Int64
	most    atomic.Int64 // running at once
	silent  bool         // no log

	mu      sync.Mutex
	batches [][]int32 // the first id of each sequence
}

func (e *fakeEncoder) batchTokens() int { return e.tokens }

func (e *fakeEncoder) embedBatch(ctx context.Context, batch []sequence, _ *scratch) {
	running := e.running.Add(1)
	defer e.running.Add(-1)
	for most := e.most.Load(); running > most && !e.most.CompareAndSwap(most, running); most = e.most.Load() {
	}
	rows := 0
	for _, q := range batch {
		rows += len(q.ids)
	}
	if !e.silent {
		var firsts []int32
		for _, q := range batch {
			firsts = append(firsts, q.ids[0])
		}
		e.mu.Lock()
		e.batches = append(e.batches, firsts)
		e.mu.Unlock()
	}
	err := e.cost(ctx, rows)
	for i, q := range batch {
		if e.each && i > 0 {
			err = e.cost(ctx, len(q.ids))
		}
		switch {
		case err != nil:
			batch[i].err = err
		case slices.Contains(q.ids, panicID):
			panic("panicID")
		case slices.Contains(q.ids, badID):
			batch[i].err = ErrNotFinite
		default:
			sums(q.ids, q.dst)
		}
	}
}

// times says how often sequences that begin with id were computed, or begun.
func (e *fakeEncoder) times(id int32) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.batches {
		for _, first := range b {
			if first == id {
				n++
			}
		}
	}
	return n
}

// sums is the vector that the fake makes: every id counts, and where it stands.
func sums(ids []int32, dst []float32) {
	for j := range dst {
		h := uint32(j)
		for _, id := range ids {
			h = h*31 + uint32(id)
		}
		dst[j] = float32(h)
	}
}

// sleeps is a cost in fake time: a batch looks at its ctx every 100 us.
func sleeps(base, row time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, rows int) error {
		const look = 100 * time.Microsecond
		for left := base + time.Duration(rows)*row; left > 0 && ctx.Err() == nil; left -= look {
			time.Sleep(min(left, look))
		}
		return ctx.Err()
	}
}

// fakeModel is the tiny model with the fake in the place of its encoder.
func fakeModel(t testing.TB, tokens int, cost func(context.Context, int) error) (*Model, *fakeEncoder) {
	t.Helper()
	m, err := Open("testdata/tiny-bert")
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEncoder{encoder: m.encoder, tokens: tokens, cost: cost}
	m.encoder, m.batcher = e, newBatcher(e, m.gate, m.free)
	return m, e
}

// checkIdle closes the model and finds nothing left in its batcher: no goroutine, no job.
func checkIdle(t *testing.T, m *Model) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	b := m.batcher
	if b.running != 0 || b.waiting != 0 || b.queued() {
		t.Errorf("idle, but %d run, %d wait, queued %v", b.running, b.waiting, b.queued())
	}
	for _, j := range b.flight.buckets {
		if j != nil {
			t.Fatal("idle, but a job is in flight")
		}
	}
	n := 0
	for j := b.jobs.first; j != nil; j = j.chain {
		if n++; j.state != fresh || j.refs != 0 || j.tickets != nil || j.batch != nil || j.err != nil || len(j.ids) != 0 || j.prev != nil || j.next != nil {
			t.Fatalf("a free job is not clean: %+v", j)
		}
	}
	if n != b.jobs.n {
		t.Errorf("%d free jobs, counted %d", n, b.jobs.n)
	}
	for c := b.calls; c != nil; c = c.next {
		if len(c.tickets) != 0 || c.left != 0 || c.waits || len(c.wake) != 0 || c.tokens != 0 || c.entered || c.counted {
			t.Fatalf("a free call is not clean: %+v", c)
		}
	}
}

// processors sets GOMAXPROCS for a test.
func processors(t testing.TB, n int) {
	old := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

// inBubble runs a test with n processors in fake time.
func inBubble(t *testing.T, n int, f func(t *testing.T)) {
	processors(t, n)
	synctest.Test(t, f)
}

// untouched is what dst holds before a call, and after one that failed.
const untouched = 7

func newDst(m *Model) []float32 { return slices.Repeat([]float32{untouched}, m.Dim()) }

func TestEveryCallerGetsItsOwnVector(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		for seed := range uint64(8) {
			inBubble(t, procs, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, uint64(procs)))
				var mu sync.Mutex
				m, e := fakeModel(t, 1+rnd.IntN(64), func(ctx context.Context, rows int) error {
					mu.Lock()
					d := time.Duration(rnd.IntN(3000)) * time.Microsecond
					mu.Unlock()
					return sleeps(d, 0)(ctx, rows)
				})
				opts := []Option{{}, {}, {}, Interactive, Bulk, Batching(false)}[:5+seed%2]
				var wg sync.WaitGroup
				for g := range 30 {
					wg.Go(func() { randomCalls(t, m, rand.New(rand.NewPCG(seed, uint64(g))), opts) })
				}
				wg.Wait()
				if most := e.most.Load(); seed%2 == 0 && most > int64(procs) {
					t.Errorf("%d computations at once on %d processors", most, procs)
				}
				checkIdle(t, m)
			})
		}
	}
}

// randomCalls makes calls of all kinds, of which some are cancelled, fail or make the encoder panic.
func randomCalls(t *testing.T, m *Model, rnd *rand.Rand, options []Option) {
	type left struct{ got, want []float32 }
	var kept []left // of calls that left: nobody may write to them afterwards
	sequence := func() []int32 {
		ids := make([]int32, 1+rnd.IntN(12))
		for i := range ids {
			ids[i] = int32(1 + rnd.IntN(3)) // few, so that some are equal
		}
		if r := rnd.IntN(30); r < 2 {
			ids[len(ids)-1] = badID + int32(r)
		}
		return ids
	}
	check := func(ctx context.Context, ids []int32, got []float32, err error) {
		var p *PanicError
		want := newDst(m)
		switch {
		case err == nil:
			sums(ids, want)
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		case slices.Contains(ids, badID) && errors.Is(err, ErrNotFinite):
		case slices.Contains(ids, panicID) && errors.As(err, &p) && p.Value == "panicID" && len(p.Stack) > 0:
		default:
			t.Errorf("%v: %v", ids, err)
		}
		if err == nil && (slices.Contains(ids, badID) || slices.Contains(ids, panicID)) {
			t.Errorf("%v: no error", ids)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: another vector, error %v", ids, err)
		}
		kept = append(kept, left{got, want})
	}
	for range 25 {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if rnd.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(6000))*time.Microsecond)
		}
		opts := []Option{options[rnd.IntN(len(options))]}
		switch rnd.IntN(3) {
		case 0:
			ids, dst := sequence(), newDst(m)
			check(ctx, ids, dst, m.EmbedIDsInto(ctx, ids, dst))
		case 1:
			ids, dst := sequence(), newDst(m)
			tokens := types.TokenizedText{IDs: slices.Clone(ids), Vocab: m.tokenizer.Vocab()}
			if opts[0].Kind == types.OptionBatching && slices.Contains(ids, panicID) {
				opts[0] = Option{} // a panic is the caller's own then
			}
			_, err := m.EmbedTokensInto(ctx, &tokens, dst, opts...)
			clear(tokens.IDs)
			check(ctx, ids, dst, err)
		case 2:
			texts := make([]string, rnd.IntN(20))
			for i := range texts {
				texts[i] = []string{"cat", "dog hello", "hello world cat", ""}[rnd.IntN(4)]
			}
			checkTexts(t, ctx, m, texts, opts)
		}
		cancel()
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	}
	time.Sleep(time.Second)
	for _, k := range kept {
		if !slices.Equal(k.got, k.want) {
			t.Error("a caller that had left was written to")
		}
	}
}

func checkTexts(t *testing.T, ctx context.Context, m *Model, texts []string, opts []Option) {
	dst := make([]float32, len(texts)*m.Dim())
	infos := make([]types.Info, len(texts))
	err := m.EmbedBatchInto(ctx, texts, dst, infos, opts...)
	if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
		t.Errorf("batch: %v", err)
	}
	want := make([]float32, m.Dim())
	for i, text := range texts {
		clear(want)
		if infos[i].Err == nil {
			tokens, err := m.tokenizer.Tokenize(text)
			if err != nil {
				t.Fatal(err)
			}
			sums(tokens.IDs, want)
		} else if err == nil {
			t.Errorf("%q: %v, but the batch has no error", text, infos[i].Err)
		}
		if !slices.Equal(dst[i*m.Dim():][:m.Dim()], want) {
			t.Errorf("text %d of a batch, error %v: another row", i, infos[i].Err)
		}
	}
}

// waiters starts calls with the given ids, each in the place that it has in the queue.
type waiters struct {
	m    *Model
	wg   sync.WaitGroup
	errs map[int32]error
	at   map[int32]time.Duration // since the beginning
	t0   time.Time
	mu   sync.Mutex
}

func newWaiters(m *Model) *waiters {
	return &waiters{m: m, errs: map[int32]error{}, at: map[int32]time.Duration{}, t0: time.Now()}
}

// start begins a call with tokens times id, and returns when it waits or computes.
func (w *waiters) start(t *testing.T, ctx context.Context, id int32, tokens int, opts ...Option) {
	w.wg.Go(func() {
		dst, want := newDst(w.m), newDst(w.m)
		ids := slices.Repeat([]int32{id}, tokens)
		_, err := w.m.EmbedTokensInto(ctx, &types.TokenizedText{IDs: ids, Vocab: w.m.tokenizer.Vocab()}, dst, opts...)
		if err == nil {
			sums(ids, want)
		}
		w.mu.Lock()
		w.errs[id], w.at[id] = err, time.Since(w.t0)
		w.mu.Unlock()
		time.Sleep(time.Second)
		if !slices.Equal(dst, want) {
			t.Errorf("id %d, error %v: another vector", id, err)
		}
	})
	synctest.Wait()
}

func TestBatchesFormWhileASlotIsBusy(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 32, sleeps(time.Millisecond, 0))
		w := newWaiters(m)
		for id := range int32(6) {
			w.start(t, t.Context(), 20+id, 10)
		}
		w.wg.Wait()
		if want := [][]int32{{20}, {21, 22, 23}, {24, 25}}; !slices.EqualFunc(e.batches, want, slices.Equal[[]int32]) {
			t.Errorf("batches %v, want %v", e.batches, want)
		}
		for id := range int32(6) {
			if want := []time.Duration{1, 2, 2, 2, 3, 3}[id] * time.Millisecond; w.at[20+id] != want || w.errs[20+id] != nil {
				t.Errorf("call %d: %v after %v, want %v", id, w.errs[20+id], w.at[20+id], want)
			}
		}
		checkIdle(t, m)
	})
}

func TestATextLongerThanABatchIsComputed(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 4, sleeps(time.Millisecond, 0))
		w := newWaiters(m)
		for id := range int32(3) {
			w.start(t, t.Context(), 20+id, 1+8*int(id%2)) // 1, 9, 1 tokens
		}
		w.wg.Wait()
		if want := [][]int32{{20}, {21}, {22}}; !slices.EqualFunc(e.batches, want, slices.Equal[[]int32]) {
			t.Errorf("batches %v, want %v", e.batches, want)
		}
		checkIdle(t, m)
	})
}

func TestCallersLeaveAtOnce(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 32, sleeps(10*time.Millisecond, 0))
		timeout := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		w := newWaiters(m)
		w.start(t, t.Context(), 20, 10)
		w.start(t, timeout(3*time.Millisecond), 21, 10)  // leaves the queue
		w.start(t, timeout(15*time.Millisecond), 22, 10) // leaves while it is computed
		w.start(t, t.Context(), 23, 10)                  // with it
		w.wg.Wait()
		for id, want := range map[int32]time.Duration{20: 10, 21: 3, 22: 15, 23: 20} {
			if got := w.at[id]; got != want*time.Millisecond {
				t.Errorf("call %d: back after %v, want %v ms", id, got, int(want))
			}
			if left := id == 21 || id == 22; left != errors.Is(w.errs[id], context.DeadlineExceeded) {
				t.Errorf("call %d: %v", id, w.errs[id])
			}
		}
		if n := e.times(21); n != 0 {
			t.Errorf("what had left the queue was computed %d times", n)
		}
		checkIdle(t, m)
	})
}

// A batch that nobody wants any more is cut short.
func TestAbandonedBatchStops(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 32, sleeps(10*time.Millisecond, 0))
		ctx, cancel := context.WithCancel(t.Context())
		w := newWaiters(m)
		w.start(t, t.Context(), 20, 10)
		w.start(t, ctx, 21, 10)
		w.start(t, ctx, 22, 10)
		time.Sleep(12 * time.Millisecond) // 2 into the batch of 21 and 22
		cancel()
		w.start(t, t.Context(), 23, 10)
		w.wg.Wait()
		if got, want := w.at[23], 22*time.Millisecond+100*time.Microsecond; got > want {
			t.Errorf("the next call was back after %v, want %v at most", got, want)
		}
		if n := e.times(21); n != 1 {
			t.Errorf("the abandoned batch was begun %d times", n)
		}
		if n := m.batcher.jobs.n; n != 3 {
			t.Errorf("%d jobs are free, 3 were in use at once", n)
		}
		checkIdle(t, m)
	})
}

// The text of a batch that everybody left may be wanted again before the batch has noticed, or after.
func TestAbandonedTextIsWantedAgain(t *testing.T) {
	for _, late := range []bool{false, true} {
		inBubble(t, 1, func(t *testing.T) {
			m, _ := fakeModel(t, 32, func(ctx context.Context, rows int) (err error) {
				time.Sleep(2 * time.Millisecond)
				if late {
					err = ctx.Err()
				}
				time.Sleep(8 * time.Millisecond)
				return cmp.Or(err, ctx.Err())
			})
			ctx, cancel := context.WithCancel(t.Context())
			first := newWaiters(m)
			first.start(t, t.Context(), 20, 10)
			first.start(t, ctx, 21, 10)
			time.Sleep(11 * time.Millisecond)
			cancel()
			time.Sleep(4 * time.Millisecond)
			again := newWaiters(m) // 5 into the batch
			again.start(t, t.Context(), 21, 10)
			first.wg.Wait()
			again.wg.Wait()
			want := 5 * time.Millisecond
			if late {
				want += 10 * time.Millisecond
			}
			if err := again.errs[21]; err != nil || again.at[21] != want {
				t.Errorf("wanted again: %v after %v, want %v", err, again.at[21], want)
			}
			if !errors.Is(first.errs[21], context.Canceled) {
				t.Errorf("cancelled: %v", first.errs[21])
			}
			checkIdle(t, m)
		})
	}
}

func TestEqualTextsAreComputedOnce(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 64, sleeps(time.Millisecond, 0))
		var waits []*waiters
		for range 4 { // 20 is computed by the first itself, 21 by a worker
			for _, id := range []int32{20, 21} {
				w := newWaiters(m)
				w.start(t, t.Context(), id, 10)
				waits = append(waits, w)
			}
		}
		texts := make([]float32, 6*m.Dim())
		if err := m.EmbedBatchInto(t.Context(), []string{"cat", "cat", "dog", "cat", "dog", "cat"}, texts, nil); err != nil {
			t.Fatal(err)
		}
		for i, w := range waits {
			w.wg.Wait()
			if err := errors.Join(w.errs[20], w.errs[21]); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if a, b := e.times(20), e.times(21); a != 1 || b != 1 {
			t.Errorf("equal texts were computed %d and %d times", a, b)
		}
		if n := e.times(2); n != 2 { // [CLS]
			t.Errorf("two different texts among six were computed %d times", n)
		}
		if n := m.Dim(); !slices.Equal(texts[:n], texts[n:2*n]) || !slices.Equal(texts[2*n:3*n], texts[4*n:5*n]) || slices.Equal(texts[:n], texts[2*n:3*n]) {
			t.Error("the rows of equal texts differ, or those of different ones do not")
		}
		checkIdle(t, m)
	})
}

// Who computes for itself may leave; those who wait for an equal text do not share its fate.
func TestEqualTextsSurviveTheFirst(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 64, sleeps(5*time.Millisecond, 0))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		defer cancel()
		first, second := newWaiters(m), newWaiters(m)
		first.start(t, ctx, 20, 10)
		second.start(t, t.Context(), 20, 10)
		first.wg.Wait()
		second.wg.Wait()
		if !errors.Is(first.errs[20], context.DeadlineExceeded) || first.at[20] > 2200*time.Microsecond {
			t.Errorf("the first: %v after %v", first.errs[20], first.at[20])
		}
		if second.errs[20] != nil || second.at[20] != first.at[20]+5*time.Millisecond || e.times(20) != 2 {
			t.Errorf("the second: %v after %v, computed %d times", second.errs[20], second.at[20], e.times(20))
		}
		checkIdle(t, m)
	})
}

// Texts behind the one that is computed may be wanted by others, too.
func TestEqualTextsSurviveABatch(t *testing.T) {
	for _, others := range []bool{false, true} {
		inBubble(t, 1, func(t *testing.T) {
			m, e := fakeModel(t, 4, sleeps(5*time.Millisecond, 0))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() {
				infos := make([]types.Info, 2)
				if err := m.EmbedBatchInto(ctx, []string{"cat", "dog"}, make([]float32, 2*m.Dim()), infos); !errors.Is(err, context.DeadlineExceeded) || infos[1].Err == nil {
					t.Errorf("the batch: %v, %+v", err, infos)
				}
			})
			synctest.Wait()
			if others {
				checkTexts(t, t.Context(), m, []string{"dog"}, nil)
			}
			wg.Wait()
			if n := len(e.batches); n > 2 || !others && n > 1 {
				t.Errorf("batches %v", e.batches)
			}
			checkIdle(t, m)
		})
	}
}

// Rows that were done when ctx ended are kept.
func TestCancelledBatchKeepsItsRows(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, e := fakeModel(t, 64, sleeps(5*time.Millisecond, 0))
		e.each = true
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Millisecond)
		defer cancel()
		checkTexts(t, ctx, m, []string{"cat", "dog", "hello"}, nil)
		dst, infos := make([]float32, 2*m.Dim()), make([]types.Info, 2)
		ctx, cancel = context.WithTimeout(t.Context(), 7*time.Millisecond)
		defer cancel()
		if err := m.EmbedBatchInto(ctx, []string{"cat", "dog"}, dst, infos); !errors.Is(err, context.DeadlineExceeded) || infos[0].Err != nil || dst[0] == 0 || infos[1].Err != err || dst[m.Dim()] != 0 {
			t.Errorf("%v, %+v, rows %v and %v", err, infos, dst[:2], dst[m.Dim():][:2])
		}
		checkIdle(t, m)
	})
}

func TestQueueLimit(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, _ := fakeModel(t, 8, sleeps(time.Millisecond, 0))
		limit := QueueLimit(2)
		w := newWaiters(m)
		for id := int32(20); id < 24; id++ {
			w.start(t, t.Context(), id, 4, limit)
		}
		texts := slices.Repeat([]string{"cat"}, 3)
		dst, infos := make([]float32, 3*m.Dim()), make([]types.Info, 3)
		dst[0] = 1
		if err := m.EmbedBatchInto(t.Context(), texts, dst, infos, limit); !errors.Is(err, ErrOverloaded) || dst[0] != 0 || !errors.Is(infos[0].Err, ErrOverloaded) || !errors.Is(infos[2].Err, ErrOverloaded) {
			t.Errorf("a batch beyond the limit: %v, dst[0] %v, %+v", err, dst[0], infos)
		}
		w.start(t, t.Context(), 24, 4) // the limit of others is not its own
		w.wg.Wait()
		for id, err := range w.errs {
			if over := id == 23; over != errors.Is(err, ErrOverloaded) || !over && err != nil {
				t.Errorf("call %d: %v", id, err)
			}
		}
		if w.at[23] != 0 {
			t.Errorf("refused after %v", w.at[23])
		}
		w.start(t, t.Context(), 25, 4, QueueLimit(0))
		w.wg.Wait()
		if err := w.errs[25]; err != nil {
			t.Errorf("on an idle model: %v", err)
		}
		checkIdle(t, m)
	})
}

// A call of many texts that has begun is not refused half-way.
func TestQueueLimitLetsABatchEnd(t *testing.T) {
	inBubble(t, 1, func(t *testing.T) {
		m, _ := fakeModel(t, 4, sleeps(time.Millisecond, 0))
		var wg sync.WaitGroup
		wg.Go(func() {
			texts := []string{"cat", "dog", "hello", "world", "cat dog", "dog cat"}
			dst := make([]float32, len(texts)*m.Dim())
			if err := m.EmbedBatchInto(t.Context(), texts, dst, nil, QueueLimit(1)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		w := newWaiters(m)
		for id := int32(20); id < 40; id++ {
			w.start(t, t.Context(), id, 4)
		}
		wg.Wait()
		w.wg.Wait()
		checkIdle(t, m)
	})
}
