package bench

import (
	"runtime"
	"time"

	"github.com/maida-ai/gomai/layers"
)

// neighbour asks whether calls that allocate nothing stay clear of a neighbour's garbage.
func neighbour() Group {
	const engine, loop = "ten steps of 1 µs", "plain loop of 10 µs"
	return Group{
		Name: "beside garbage",
		About: "Single calls of ten steps of 1 µs, beside a goroutine that makes 200 MB of garbage a second in pieces of 1 KiB, " +
			"of which 4 MiB are alive. The collector takes its toll of the plain loop too: the two take turns.",
		Rounds: 4000,
		Single: true,
		Beside: Garbage,
		Cases: []Case{
			{Name: loop, Open: func() (Round, func(), error) {
				x := Inputs[0]
				return Each(25, func(n int) error {
					for range 10 * n {
						x = Spin(1, x)
					}
					return nil
				}), nil, nil
			}},
			{Name: engine, Open: func() (Round, func(), error) { return single(25) }},
		},
		Limits: []Limit{{Case: engine, Of: loop, Stat: Tail, Bound: 1.3}},
	}
}

// single opens a case of single calls of ten steps of a microsecond.
func single(n int, opts ...layers.Option) (Round, func(), error) {
	s := spins("spin", 1)
	five := layers.Sequential5(s, s, s, s, s)
	e, err := layers.Compile(layers.Sequential(five, five).With(limit), opts...)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := request()
	x := Inputs[0]
	run := func(n int) error {
		for range n {
			if err := e.CallInto(ctx, x, &x); err != nil {
				return err
			}
		}
		return nil
	}
	return Each(n, run), func() { cancel(); e.Close() }, run(20)
}

// piece is an object with a pointer, so that the collector has to look into it.
type piece struct {
	_ *piece
	_ [1008]byte // with the allocator's word 1 KiB
}

// Garbage starts a goroutine that allocates 200 MB a second, in pieces of 1 KiB of which 4 MiB are alive.
func Garbage() (stop func()) {
	const perTick = 200_000_000 / 1000 / 1024
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var alive [4096]*piece
		n := 0
		t := time.NewTicker(time.Millisecond)
		defer t.Stop()
		start, made := time.Now(), 0
		for {
			select {
			case <-quit:
				runtime.KeepAlive(&alive)
				return
			case <-t.C: // ticks get lost: count by the clock
				for due := int(time.Since(start)/time.Millisecond) * perTick; made < due; made++ {
					alive[n%len(alive)] = &piece{}
					n++
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}
