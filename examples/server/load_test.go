package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/maida-ai/gomai/layers"
)

const clients = 200

// gate is a step that holds every call until its wave is let through. A call's number is its score.
type gate struct {
	open          []chan struct{} // for each wave of clients
	entered, left chan int        // the numbers of calls that come in, and of those that are cancelled
}

func newGate(waves int) *gate {
	g := &gate{entered: make(chan int, waves*clients), left: make(chan int, waves*clients)}
	for range waves {
		g.open = append(g.open, make(chan struct{}))
	}
	return g
}

func (g *gate) module() layers.Module[[]string, float64] {
	return layers.Func("gate", func(ctx context.Context, texts []string) (float64, error) {
		n, err := strconv.Atoi(texts[0])
		if err != nil {
			return 0, err
		}
		g.entered <- n
		select {
		case <-g.open[n/clients]:
			return float64(n), nil
		case <-ctx.Done():
			g.left <- n
			return 0, ctx.Err()
		}
	}).With(layers.Blocking)
}

// question is a body that the gate takes for call n.
func question(n int) string { return fmt.Sprintf(`{"texts": ["%d", ""]}`, n) }

// answered says whether a is the full answer to question n; false if it says to come back later.
// Anything else is an error.
func answered(n int, a reply) (bool, error) {
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "1" {
		return false, nil
	}
	if a.status != http.StatusOK || a.body != fmt.Sprintf("{\"score\":%d}\n", n) {
		return false, fmt.Errorf("question %d: status %d, %q", n, a.status, a.body)
	}
	return true, nil
}

// take receives n numbers, unless ctx is done before.
func take(ctx context.Context, t *testing.T, ch <-chan int, n int) []int {
	t.Helper()
	var all []int
	for len(all) < n {
		select {
		case v := <-ch:
			all = append(all, v)
		case <-ctx.Done():
			t.Fatalf("%d calls came, and %d should: %v", len(all), n, context.Cause(ctx))
		}
	}
	return all
}

// Of 200 clients that ask at once the server has room for 120; the others are told to come back. A
// fifth of all hang up while they are inside, others take their places, and all that stay get the
// answer to their own question. Several waves of that leave nothing behind.
func TestLoad(t *testing.T) {
	const waves, room, quitters = 3, 120, clients / 5
	g := newGate(waves)
	r := start(t, g.module(), room)
	test, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	bounded := func() {
		t.Helper()
		// A client is one goroutine, its connection two here and two in the server, a call one. What
		// served clients that left may not have ended yet.
		if n := runtime.NumGoroutine() - r.before; n > 5*clients+room+3*waves*quitters+10 {
			t.Errorf("%d goroutines for %d clients", n, clients)
		}
		if n := r.sched.Stats().Blocking; n > room+waves*quitters {
			t.Errorf("%d goroutines run steps, with room for %d", n, room)
		}
	}
	for wave := range waves {
		var hangUp [clients]context.CancelFunc
		refused, again := make(chan int, clients), make(chan struct{})
		var done sync.WaitGroup
		for i := range clients {
			ctx, cancel := context.WithCancel(test)
			defer cancel()
			hangUp[i] = cancel
			n := wave*clients + i
			done.Go(func() {
				for first := true; ; first = false {
					a, err := r.post(ctx, r.client, question(n))
					if ctx.Err() != nil {
						return
					}
					ok := false
					if err == nil {
						ok, err = answered(n, a)
					}
					if err != nil {
						fail(err)
					}
					if ok || err != nil {
						return
					}
					if first {
						refused <- n
						select {
						case <-again:
						case <-ctx.Done():
						}
					}
				}
			})
		}
		inside := take(test, t, g.entered, room)
		away := take(test, t, refused, clients-room)
		bounded()

		quit := inside[:quitters]
		for _, n := range quit {
			hangUp[n%clients]()
		}
		left := take(test, t, g.left, quitters)
		slices.Sort(left)
		slices.Sort(quit)
		if !slices.Equal(left, quit) {
			t.Errorf("%v were cancelled, %v hung up", left, quit)
		}
		for range quitters { // as many find room now
			select {
			case again <- struct{}{}:
			case <-test.Done():
			}
		}
		for _, n := range take(test, t, g.entered, quitters) {
			if !slices.Contains(away, n) {
				t.Errorf("question %d came in twice", n)
			}
		}
		bounded()

		close(g.open[wave])
		close(again)
		take(test, t, g.entered, clients-room-quitters)
		done.Wait()
		if err := context.Cause(test); err != nil {
			t.Fatal(err)
		}
	}
}

// At the signal to end 120 requests are inside, and clients go on asking. Whoever has come in gets the
// full answer; the others find no server.
func TestShutdownUnderLoad(t *testing.T) {
	const room = 120
	g := newGate(1)
	r := start(t, g.module(), room)
	// Each request is a connection of its own: an idle one may be closed while a request is on its way.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	test, fail := context.WithCancelCause(t.Context())
	defer fail(nil)
	answers := make(chan int, clients)
	var done sync.WaitGroup
	for n := range clients {
		done.Go(func() {
			for {
				a, err := r.post(test, client, question(n))
				if err != nil {
					return // the server takes no more connections
				}
				ok, err := answered(n, a)
				if err != nil {
					fail(err)
				}
				if ok {
					answers <- n
				}
				if ok || err != nil {
					return
				}
			}
		})
	}
	entered := take(test, t, g.entered, room)
	r.stop()
	<-r.deaf
	close(g.open[0])
	done.Wait()
	if err := context.Cause(test); err != nil {
		t.Fatal(err)
	}
	// Some had a connection before the signal, and room after it.
	entered = append(entered, take(test, t, g.entered, len(g.entered))...)
	got := take(test, t, answers, len(answers))
	slices.Sort(entered)
	slices.Sort(got)
	if !slices.Equal(got, entered) {
		t.Errorf("came in: %v\nanswered: %v", entered, got)
	}
	if _, err := r.post(t.Context(), client, question(0)); err == nil {
		t.Error("a server that has ended answers")
	}
}
