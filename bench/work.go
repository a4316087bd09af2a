package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/maida-ai/gomai/layers"
)

// Groups returns the suite.
func Groups() []Group {
	return []Group{noops(), branches(1), branches(100), schedulers(16), neighbour(), waves(10_000), beside(10_000), pending(100, 1000), allocations()}
}

// Inputs are random numbers, a power of two of them, that cases take their input from.
var Inputs = func() (v [256]int64) {
	for i := range v {
		v[i] = rand.Int64N(1 << 40)
	}
	return v
}()

// Spin computes for as many microseconds as n says, and returns a number that depends on x. On this
// machine, that is, when nothing else ran: it counts iterations, not time.
func Spin(n int, x int64) int64 { return spin(n*perMicrosecond(), x) }

//go:noinline
func spin(iterations int, x int64) int64 {
	for range iterations {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// perMicrosecond is how many iterations of spin take a microsecond, by the fastest of many tries.
var perMicrosecond = sync.OnceValue(func() int {
	const n = 20_000
	best := time.Duration(math.MaxInt64)
	x := Inputs[0]
	for range 200 {
		start := time.Now()
		x = spin(n, x)
		best = min(best, time.Since(start))
	}
	return int(n * time.Microsecond / best)
})

// caller returns what calls an engine of m with random inputs, after 20 calls to warm up.
func caller[O any](ctx context.Context, m layers.Module[int64, O]) (run func(n int) error, done func(), err error) {
	e, err := layers.Compile(m)
	if err != nil {
		return nil, nil, err
	}
	var out O
	next := 0
	run = func(n int) error {
		first := next
		next += n
		for i := range n {
			if err := e.CallInto(ctx, Inputs[(first+i)%len(Inputs)], &out); err != nil {
				return err
			}
		}
		return nil
	}
	return run, func() { e.Close() }, run(20)
}

// calls opens a case of n calls a round.
func calls[O any](n int, ctx context.Context, m layers.Module[int64, O]) func() (Round, func(), error) {
	return func() (Round, func(), error) {
		run, done, err := caller(ctx, m)
		return Timed(n, run), done, err
	}
}

// spins is a step that computes for n microseconds.
func spins(name string, n int) layers.Module[int64, int64] {
	return layers.Into(name, func(_ context.Context, in int64, out *int64) error {
		*out = Spin(n, in)
		return nil
	}).With(layers.Computing)
}

// limit is a Timeout that no case exceeds: what it costs is to be measured.
var limit = layers.Timeout(5 * time.Second)

type contextKey int

// request returns a context as net/http gives it to a handler: cancellable, with the server's values
// in it, and with three more of the application's round it.
func request() (context.Context, context.CancelFunc) {
	server := context.WithValue(context.WithValue(context.Background(), contextKey(0), "server"), contextKey(1), "address")
	connection, hangUp := context.WithCancel(server)
	ctx, cancel := context.WithCancel(connection)
	for i := range contextKey(3) {
		ctx = context.WithValue(ctx, 2+i, "application")
	}
	return ctx, func() { cancel(); hangUp() }
}
