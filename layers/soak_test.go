package layers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// soakRound is how long the same schedulers live. Afterwards nothing of them may be left.
const soakRound = 5 * time.Second

// soakDice decides what goes wrong in a call: 0, nothing.
var soakDice = NewKey("soak_test dice", uint64(0))

var errSoak = errors.New("an error of the soak")

// grain is what random pipelines pass on. Its slices make it a matter of engine memory.
type grain struct {
	N int64
	S []int64
	T [][]int64
}

func (g grain) clone() grain {
	g.S, g.T = slices.Clone(g.S), slices.Clone(g.T)
	for i := range g.T {
		g.T[i] = slices.Clone(g.T[i])
	}
	return g
}

func (g grain) equal(h grain) bool {
	return g.N == h.N && slices.Equal(g.S, h.S) && slices.EqualFunc(g.T, h.T, slices.Equal)
}

// digest depends on all of g.
func (g grain) digest() int64 {
	sum := g.N
	for _, s := range append([][]int64{g.S}, g.T...) {
		sum = sum*31 + int64(len(s))
		for _, v := range s {
			sum = sum*31 + v
		}
	}
	return sum
}

// fill makes out what in and salt say, in the memory that it has.
func (g *grain) fill(in int64, salt int64) {
	x := uint64(in*1_000_003+salt)*0x9e3779b97f4a7c15 + 1
	g.N = int64(x >> 8)
	g.S = slices.Grow(g.S[:0], int(x%5))[:x%5]
	for i := range g.S {
		g.S[i] = g.N + int64(i)
	}
	g.T = slices.Grow(g.T[:0], int(x/5%4))[:x/5%4]
	for i := range g.T {
		g.T[i] = append(g.T[i][:0], g.N, int64(i))
	}
}

// soaker grows random pipelines together with what they return, and counts what came of the calls.
type soaker struct {
	t         *testing.T
	calls     atomic.Int64
	results   atomic.Int64 // of them those that were right
	errors    atomic.Int64 // and those that failed as told
	exits     atomic.Int64 // and those whose goroutine left
	engines   atomic.Int64
	retries   atomic.Int64
	spreads   atomic.Int64
	abandoned atomic.Int64
	closed    atomic.Int64 // calls of a closed engine
}

// pod is a pipeline, and the oracle for it.
type pod struct {
	m    Module[grain, grain]
	eval func(in grain) grain
}

// gardener grows the pipelines of an engine.
type gardener struct {
	*rand.Rand
	soak  *soaker
	inner *soil // an engine to be called by steps; nil: none
	steps int
	frail bool // a step may be late, or find the lane full, without being told to
}

// work computes for about d.
func work(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// trouble is what the dice of a call say about an attempt of a step.
func (s *soaker) trouble(ctx context.Context, step int) error {
	if kernel.RetryCount(ctx) > 0 {
		s.retries.Add(1)
	}
	dice := soakDice.Get(ctx)
	if dice == 0 {
		return nil
	}
	switch r := rand.New(rand.NewPCG(dice, uint64(step)<<8|uint64(kernel.RetryCount(ctx)))); r.IntN(120) {
	case 0:
		return errSoak
	case 1, 2, 3, 4:
		return fmt.Errorf("%w: %w", errSoak, temporary(true))
	case 5:
		panic(errSoak)
	case 6:
		if dice%2 == 0 {
			runtime.Goexit()
		}
	}
	return nil
}

func (g *gardener) leaf() pod {
	g.steps++
	step, salt := g.steps, g.Int64()
	name := fmt.Sprint("s", step)
	var busy, wait time.Duration
	switch g.IntN(8) {
	case 0:
		busy = time.Duration(g.IntN(200)) * µs
	case 1:
		wait = time.Duration(g.IntN(2000)) * µs
	}
	deaf := g.IntN(2) == 0
	soak := g.soak
	do := func(ctx context.Context, in grain, out *grain) error {
		seed := in.digest()
		work(busy)
		if wait > 0 {
			late := time.NewTimer(wait)
			defer late.Stop()
			select {
			case <-late.C:
			case <-ctx.Done():
				if !deaf {
					return ctx.Err()
				}
				<-late.C
			}
		}
		out.fill(seed+1, salt) // what is not to be seen
		if err := soak.trouble(ctx, step); err != nil {
			return err
		}
		if out.fill(seed, salt); in.digest() != seed {
			soak.t.Errorf("the input of %s changes while it runs", name)
		}
		return nil
	}
	var m Module[grain, grain]
	if g.IntN(3) == 0 {
		m = Func(name, func(ctx context.Context, in grain) (out grain, err error) {
			err = do(ctx, in, &out)
			return out, err
		})
	} else {
		m = Into(name, do)
	}
	m = m.With(Reads(soakDice))
	switch {
	case wait > 0:
		m = m.With(Blocking)
	case g.IntN(3) > 0:
		m = m.With(Computing)
	}
	return pod{m, func(in grain) (out grain) { out.fill(in.digest(), salt); return out }}
}

// call is a step that calls another engine.
func (g *gardener) call() pod {
	g.steps++
	e := g.inner
	m := Func(fmt.Sprint("call", g.steps), func(ctx context.Context, in grain) (grain, error) {
		return e.engine.Call(ctx, in, soakDice.Set(soakDice.Get(ctx)))
	}).With(Reads(soakDice))
	g.frail = g.frail || e.frail
	return pod{m, e.eval}
}

func (g *gardener) pods(n, depth int) (ms []Module[grain, grain], evals []func(grain) grain) {
	for range n {
		p := g.grow(depth)
		ms, evals = append(ms, p.m), append(evals, p.eval)
	}
	return ms, evals
}

// grow makes a random pipeline.
func (g *gardener) grow(depth int) pod {
	if depth == 0 || g.steps > 40 {
		return g.leaf()
	}
	mix := g.Int64()
	switch g.IntN(10) {
	case 0:
		if g.inner != nil {
			return g.call()
		}
		return g.leaf()
	case 1:
		d := time.Duration(g.IntN(300)) * µs
		delay := NonBlockingDelay[grain]
		if g.IntN(2) == 0 {
			delay = BlockingDelay[grain]
		}
		return pod{delay(d), grain.clone}
	case 2, 3:
		ms, evals := g.pods(2, depth-1)
		return pod{Sequential(ms[0], ms[1]), func(in grain) grain { return evals[1](evals[0](in)) }}
	case 4:
		p := g.grow(depth - 1)
		m := Retry(p.m, RetryPolicy{Base: 50 * µs, Jitter: 0.5})
		if g.IntN(4) == 0 {
			g.frail = true
			m = Retry(p.m.With(Timeout(2*ms)), RetryPolicy{Base: 50 * µs, Max: 5})
		}
		return pod{m, p.eval}
	case 5:
		ms, evals := g.pods(2, depth-1)
		odd := func(_ context.Context, in grain) (bool, error) { return (in.digest()+mix)%2 != 0, nil }
		return pod{Conditional(odd, ms[0], ms[1]), func(in grain) grain {
			if yes, _ := odd(nil, in); yes {
				return evals[0](in)
			}
			return evals[1](in)
		}}
	case 6:
		ms, evals := g.pods(2, depth-1)
		join := func(a, b grain) grain {
			return grain{N: a.digest() + mix*b.digest(), S: slices.Clone(a.S), T: [][]int64{{b.N}}}
		}
		m := Sequential(Both(ms[0], ms[1]).With(g.wait()...), Plain("join", func(p Pair[grain, grain]) (grain, error) { return join(p.First, p.Second), nil }))
		return pod{m, func(in grain) grain { return join(evals[0](in), evals[1](in)) }}
	}
	ms, evals := g.pods(1+g.IntN(5), depth-1)
	gather := func(v []grain) (out grain) {
		for _, p := range v {
			out.N = out.N*31 + p.digest()
			out.S = append(out.S, p.N)
			out.T = append(out.T, slices.Clone(p.S))
		}
		return out
	}
	m := Sequential(Parallel(ms...).With(g.wait()...), Plain("gather", func(v []grain) (grain, error) { return gather(v), nil }))
	return pod{m, func(in grain) grain {
		var all []grain
		for _, eval := range evals {
			all = append(all, eval(in))
		}
		return gather(all)
	}}
}

// wait lets some Parallels wait for all their branches.
func (g *gardener) wait() []Option {
	if g.IntN(3) == 0 {
		return []Option{WaitAll}
	}
	return nil
}

// soil is an engine and the oracle for it.
type soil struct {
	engine *Engine[grain, grain]
	eval   func(grain) grain
	frail  bool
	seed   uint64
	inner  *soil
}

// engine compiles a random pipeline; half of the engines hand every Parallel to the crew.
func (s *soaker) engine(seed uint64, on *sched.Sched, inner *soil) *soil {
	g := &gardener{Rand: rand.New(rand.NewPCG(seed, 5)), soak: s, inner: inner}
	p := g.grow(5)
	if g.steps < 2 { // a delay alone reads no dice
		q := g.leaf()
		first := p.eval
		p = pod{Sequential(p.m, q.m), func(in grain) grain { return q.eval(first(in)) }}
	}
	opts := []Option{On(on)}
	if seed%2 == 0 {
		opts = append(opts, Option{Kind: settings.OptSpread})
	}
	if seed%5 == 0 {
		g.frail = true
		opts = append(opts, MaxBlocking(1+g.IntN(20)))
	}
	if g.IntN(3) == 0 {
		p.m = p.m.With(Computing) // where nothing is marked
	}
	s.engines.Add(1)
	return &soil{must(s.t, p.m, opts...), p.eval, g.frail, seed, inner}
}

// close closes e and what it calls, and counts what it did.
func (s *soaker) close(e *soil) {
	for ; e != nil; e = e.inner {
		var left *kernel.ShutdownError
		if err := e.engine.Close(); err != nil && !errors.As(err, &left) {
			s.t.Errorf("seed %d: Close: %v", e.seed, err)
		}
		st := e.engine.Stats()
		if st.Inside != 0 {
			s.t.Errorf("seed %d: %+v after Close", e.seed, st)
		}
		s.spreads.Add(st.Spread)
		s.abandoned.Add(st.Abandoned)
	}
}

// caller calls engines, one call after the other, each of another kind.
type caller struct {
	*rand.Rand
	soak  *soaker
	trace TraceHandle
	out   grain
}

// call calls e in some way and checks what comes of it.
func (c *caller) call(e *soil) {
	s := c.soak
	s.calls.Add(1)
	var in grain
	in.fill(c.Int64(), 1)
	want, before := e.eval(in), c.out.clone()
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	var opts []Option
	calm := !e.frail // nothing may go wrong
	if c.IntN(3) == 0 {
		calm = false
		opts = append(opts, soakDice.Set(c.Uint64()|1<<c.IntN(3)))
	}
	limit := time.Duration(1+c.IntN(5000)) * µs
	switch c.IntN(8) {
	case 0:
		calm = false
		opts = append(opts, Timeout(limit))
	case 1:
		calm = false
		ctx, cancel = context.WithTimeout(ctx, limit)
	case 2:
		calm = false
		ctx, cancel = context.WithCancel(ctx)
		defer time.AfterFunc(limit, cancel).Stop()
	case 3:
		opts = append(opts, Timeout(time.Hour))
	case 4:
		ctx, cancel = context.WithCancel(ctx)
	}
	defer cancel()
	traced := c.IntN(6) == 0
	if traced {
		opts = append(opts, Trace(&c.trace))
	}
	var err error
	switch c.IntN(3) {
	case 0:
		var out grain
		if out, err = e.engine.Start(ctx, in, opts...).Wait(context.Background()); err == nil {
			c.out = out
		}
	case 1:
		var out grain
		if out, err = e.engine.Call(ctx, in, opts...); err == nil {
			c.out = out
		}
	default:
		err = e.engine.CallInto(ctx, in, &c.out, opts...)
	}
	got, seed := c.out, e.seed
	if err == nil && !got.equal(want) {
		s.t.Errorf("seed %d: got %v, want %v\n%s", seed, got, want, e.engine.Explain())
	}
	clear(in.S) // what still runs does not see it; the result may hold it, if nothing goes to the lane
	switch {
	case err == nil:
		s.results.Add(1)
	case errors.Is(err, kernel.ErrClosed):
		s.closed.Add(1)
	case calm || !expected(err):
		s.t.Errorf("seed %d: %v, although nothing was to go wrong\n%s", seed, err, e.engine.Explain())
	default:
		s.errors.Add(1)
	}
	if err != nil && !got.equal(before) {
		s.t.Errorf("seed %d: *out was %v and is %v after %v", seed, before, got, err)
	}
	if traced && !errors.Is(err, kernel.ErrClosed) {
		c.checkTrace(e)
	}
	c.out = got.clone() // a result is the caller's: it may do with it as it likes
	for i := range got.S {
		got.S[i] = -1
	}
}

// checkTrace checks that each span is of a step and of a run of its own.
func (c *caller) checkTrace(e *soil) {
	ids := map[uint64]bool{}
	for _, sp := range c.trace.Spans {
		if sp.Path == "" || sp.StepID == 0 || ids[sp.StepID] || sp.Start < 0 || sp.Duration < 0 || sp.Retries < 0 {
			c.soak.t.Errorf("seed %d: a span is %+v\n%s", e.seed, sp, e.engine.Explain())
		}
		ids[sp.StepID] = true
	}
}

// expected reports whether err is one that a call in trouble may end with.
func expected(err error) bool {
	var step *kernel.StepError
	if err == kernel.ErrGoexit { // what Wait says of a call whose goroutine was left
		return true
	}
	if !errors.As(err, &step) || step.Path == "" {
		return false
	}
	return slices.ContainsFunc([]error{
		errSoak, context.DeadlineExceeded, context.Canceled, kernel.ErrGoexit, sched.ErrOverloaded,
	}, func(e error) bool { return errors.Is(err, e) })
}

// round lets callers loose on engines that come and go, until the time is over, and then takes all down.
func (s *soaker) round(seed uint64, d time.Duration) {
	r := rand.New(rand.NewPCG(seed, 6))
	scheds := []*sched.Sched{sched.New(), sched.New(sched.MaxBlocking(100_000))}
	make1 := func() *soil {
		on := scheds[r.IntN(2)]
		var inner *soil
		if r.IntN(2) == 0 {
			inner = s.engine(r.Uint64(), on, nil)
		}
		return s.engine(r.Uint64(), on, inner)
	}
	var beds [6]atomic.Pointer[soil]
	for i := range beds {
		beds[i].Store(make1())
	}
	var over atomic.Bool
	var callers sync.WaitGroup
	for range 12 {
		c := &caller{Rand: rand.New(rand.NewPCG(r.Uint64(), 7)), soak: s}
		callers.Go(func() {
			for !over.Load() && !s.t.Failed() {
				if goexits(func() { c.call(beds[c.IntN(len(beds))].Load()) }) {
					s.exits.Add(1)
				}
			}
		})
	}
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	tick := time.NewTicker(40 * ms)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end) && !s.t.Failed(); <-tick.C {
		if r.IntN(8) == 0 {
			runtime.GOMAXPROCS(1 + r.IntN(4))
		}
		s.close(beds[r.IntN(len(beds))].Swap(make1()))
	}
	over.Store(true)
	callers.Wait()
	for i := range beds {
		s.close(beds[i].Load())
	}
	for _, on := range scheds {
		on.Close()
	}
}

// rest waits until there are no more goroutines than there were, and returns the bytes in use.
func (s *soaker) rest(goroutines int) uint64 {
	end := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > goroutines {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			s.t.Fatalf("%d goroutines are left of %d:\n%s", runtime.NumGoroutine(), goroutines, buf[:runtime.Stack(buf, true)])
		}
		<-time.After(5 * ms)
	}
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (s *soaker) String() string {
	var b strings.Builder
	for _, n := range []struct {
		name  string
		count *atomic.Int64
	}{
		{"calls", &s.calls}, {"results", &s.results}, {"errors", &s.errors}, {"exits", &s.exits}, {"refused by a closed engine", &s.closed},
		{"engines", &s.engines}, {"runs of steps tried again", &s.retries}, {"Parallels on the crew", &s.spreads}, {"runs abandoned at Close", &s.abandoned},
	} {
		fmt.Fprintf(&b, "%d %s, ", n.count.Load(), n.name)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// TestSoak calls random pipelines in all ways for as long as the environment variable SOAK says (make
// soak): what succeeds must be right, what fails must have been told to, and goroutines and heap are what
// they were.
func TestSoak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("runs with SOAK=duration: make soak")
	}
	d, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil || d <= 0 {
		t.Fatalf("SOAK is no duration: %v", err)
	}
	s := &soaker{t: t}
	goroutines, start, said := runtime.NumGoroutine(), time.Now(), time.Now()
	var first, last uint64
	seed := uint64(start.UnixNano())
	t.Logf("seed %d", seed)
	rounds := 0
	for ; time.Since(start) < d && !t.Failed(); rounds++ {
		s.round(seed+uint64(rounds), min(soakRound, d/4))
		if last = s.rest(goroutines); rounds == 0 {
			first = last
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			t.Logf("%v: %v; heap %d KiB", time.Since(start).Round(time.Second), s, last>>10)
		}
	}
	t.Logf("%d rounds in %v: %v; heap %d KiB after the first and %d KiB after the last", rounds, time.Since(start).Round(time.Second), s, first>>10, last>>10)
	if rounds > 1 && last > first+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", first, last)
	}
	for _, n := range []*atomic.Int64{&s.results, &s.errors, &s.exits, &s.engines, &s.retries, &s.spreads} {
		if n.Load() == 0 && !t.Failed() {
			t.Errorf("something never happened: %v", s)
		}
	}
}
