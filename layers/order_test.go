package layers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/sched"
)

// journal is what the steps of one call write down. It is the value that goes through the pipeline.
type journal struct {
	yes, fail uint64 // what predicates answer, and the steps that fail, by number
	mu        sync.Mutex
	events    []event
}

type event struct {
	step int
	end  bool
}

func (j *journal) note(step int, end bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, event{step, end})
}

// did is what a part of a pipeline has done, by the journal: the places of its first and last event, -1 if
// there is none.
type did struct {
	first, last int
	done        bool // everything in it that should run has, and well
	failed      bool // a step in it has failed
}

func (d did) and(e did) did {
	if d.first < 0 || e.first >= 0 && e.first < d.first {
		d.first = e.first
	}
	return did{d.first, max(d.last, e.last), d.done && e.done, d.failed || e.failed}
}

// script is a pipeline and the check of what it did.
type script struct {
	m     Module[*journal, *journal]
	check func(*reading) did
}

// reading is a journal under inspection.
type reading struct {
	*journal
	at   map[event]int // place of the event
	used map[int]bool  // steps that may have run
	bad  []string
}

func read(j *journal) *reading {
	r := &reading{journal: j, at: map[event]int{}, used: map[int]bool{}}
	for i, e := range j.events {
		if _, twice := r.at[e]; twice {
			r.bad = append(r.bad, fmt.Sprintf("step %d ran twice", e.step))
		}
		r.at[e] = i
	}
	return r
}

func (r *reading) place(e event) int {
	if i, ok := r.at[e]; ok {
		return i
	}
	return -1
}

func (r *reading) step(n int) did {
	r.used[n] = true
	begin, end := r.place(event{n, false}), r.place(event{n, true})
	bad := r.fail>>n&1 != 0
	return did{begin, max(begin, end), end >= 0 && !bad, begin >= 0 && bad}
}

// then checks that b did nothing before a was done.
func (r *reading) then(a, b did, what string) did {
	if b.first >= 0 && (!a.done || a.last > b.first) {
		r.bad = append(r.bad, fmt.Sprintf("%s began at %d, before what it follows was done: %+v", what, b.first, a))
	}
	return a.and(b)
}

// author writes scripts.
type author struct {
	*rand.Rand
	steps int
}

func (a *author) marked(m Module[*journal, *journal]) Module[*journal, *journal] {
	switch a.IntN(8) {
	case 0, 1:
		return m.With(Blocking)
	case 2, 3:
		return m.With(Computing)
	case 4:
		return m.With(Timeout(1000 * time.Hour))
	}
	return m
}

// work is what a step does: it writes down that it begins and ends, and takes some time in between.
func (a *author) work() (int, func(*journal) error) {
	n := a.steps
	a.steps++
	d := time.Duration(max(0, a.IntN(30)-20)) * 100 * time.Microsecond
	return n, func(j *journal) error {
		j.note(n, false)
		if d > 0 {
			time.Sleep(d)
		}
		j.note(n, true)
		if j.fail>>n&1 != 0 {
			return stepFailed(n)
		}
		return nil
	}
}

func (a *author) script(depth int) script {
	if depth == 0 || a.steps > 40 {
		n, f := a.work()
		var m Module[*journal, *journal]
		switch a.IntN(3) {
		case 0:
			m = Plain("plain", func(j *journal) (*journal, error) { return j, f(j) })
		case 1:
			m = Func("func", func(_ context.Context, j *journal) (*journal, error) { return j, f(j) })
		case 2:
			m = Into("into", func(_ context.Context, j *journal, out **journal) error { *out = j; return f(j) })
		}
		return script{a.marked(m), func(r *reading) did { return r.step(n) }}
	}
	var s script
	switch a.IntN(6) {
	case 0:
		d := time.Duration(a.IntN(3)) * time.Millisecond
		return script{BlockingDelay[*journal](d), func(*reading) did { return did{-1, -1, true, false} }}
	case 1, 2:
		s = a.sequence(depth)
	case 3:
		s = a.parallel(depth)
	case 4:
		s = a.both(depth)
	case 5:
		s = a.conditional(depth)
	}
	s.m = a.marked(s.m)
	return s
}

func (a *author) sequence(depth int) script {
	f, g, h := a.script(depth-1), a.script(depth-1), a.script(depth-1)
	return script{Sequential3(f.m, g.m, h.m), func(r *reading) did {
		return r.then(r.then(f.check(r), g.check(r), "the second of a Sequential"), h.check(r), "the third of a Sequential")
	}}
}

// all checks branches, which may run in any order.
func (r *reading) all(branches []script) did {
	sum := did{-1, -1, true, false}
	for _, b := range branches {
		sum = sum.and(b.check(r))
	}
	return sum
}

func (a *author) parallel(depth int) script {
	var branches []script
	var ms []Module[*journal, *journal]
	for range 1 + a.IntN(4) {
		branches = append(branches, a.script(depth-1))
		ms = append(ms, branches[len(branches)-1].m)
	}
	p := Parallel(ms...)
	if a.IntN(3) == 0 {
		p = p.With(WaitAll)
	}
	n, f := a.work()
	last := Plain("gather", func(in []*journal) (*journal, error) { return in[len(in)-1], f(in[0]) })
	return script{Sequential(p, last), func(r *reading) did {
		return r.then(r.all(branches), r.step(n), "what follows a Parallel")
	}}
}

func (a *author) both(depth int) script {
	f, g := a.script(depth-1), a.script(depth-1)
	n, w := a.work()
	last := Plain("second", func(p Pair[*journal, *journal]) (*journal, error) { return p.Second, w(p.First) })
	return script{Sequential(Both(f.m, g.m), last), func(r *reading) did {
		return r.then(r.all([]script{f, g}), r.step(n), "what follows a Both")
	}}
}

func (a *author) conditional(depth int) script {
	n, w := a.work()
	f, g := a.script(depth-1), a.script(depth-1)
	predicate := func(_ context.Context, j *journal) (bool, error) { return j.yes>>n&1 != 0, w(j) }
	return script{Conditional(predicate, f.m, g.m), func(r *reading) did {
		branch := f
		if r.yes>>n&1 == 0 {
			branch = g
		}
		return r.then(r.step(n), branch.check(r), "a branch of a Conditional")
	}}
}

// In random pipelines every step that should run does so once, in order, wherever it runs; and after an
// error nothing that follows it does.
func TestNothingRunsTwiceOrOutOfOrder(t *testing.T) {
	const callers, calls = 3, 8
	failures := 0
	for seed := range uint64(60) {
		inBubble(t, func(t *testing.T, s *sched.Sched) {
			a := &author{Rand: rand.New(rand.NewPCG(seed, 3))}
			script := a.sequence(4)
			e := must(t, script.m, On(s))
			journals, errs := make([]*journal, callers*calls), make([]error, callers*calls)
			var group sync.WaitGroup
			for c := range callers {
				group.Go(func() {
					for i := c; i < len(journals); i += callers {
						ctx, opts := context.Background(), []Option(nil)
						if i%4 == 1 {
							ctx = t.Context()
						}
						if i%4 == 2 {
							opts = []Option{Timeout(1000 * time.Hour)}
						}
						j := &journal{yes: seed*0x9E3779B97F4A7C15 + uint64(i)*0xBF58476D1CE4E5B9}
						if i%3 == 2 {
							j.fail = 1 << (i * 7 % 64)
						}
						var out *journal
						out, errs[i] = e.Call(ctx, j, opts...)
						if errs[i] == nil && out != j {
							errs[i] = errors.New("another call's value came out")
						}
						journals[i] = j
					}
				})
			}
			group.Wait()
			time.Sleep(time.Minute) // for what was abandoned
			for i, j := range journals {
				r := read(j)
				d := script.check(r)
				for _, e := range j.events {
					if !r.used[e.step] {
						r.bad = append(r.bad, fmt.Sprintf("step %d ran", e.step))
					}
				}
				if errs[i] != nil {
					failures++
				}
				if d.done != (errs[i] == nil) || d.failed != (errs[i] != nil) || len(r.bad) > 0 {
					t.Fatalf("seed %d, call %d: %v, %+v\n%v\n%+v\n%s", seed, i, errs[i], d, r.bad, j.events, e.Explain())
				}
			}
		})
	}
	if failures < 50 {
		t.Errorf("only %d calls failed", failures)
	}
}
