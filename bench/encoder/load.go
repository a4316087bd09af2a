package encoder

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/models"
)

// Batch is how many texts gomai gets at once in the group of batches, and BatchTokens how long they are.
const Batch, BatchTokens = 64, 32

// Throughput is the group of batches, with gomai's case.
func Throughput() bench.Group {
	return bench.Group{
		Name:   "batches of 32 tokens",
		About:  fmt.Sprintf("Texts of %d tokens to vectors, %d texts at once, on one core, tokeniser included.", BatchTokens, Batch),
		Rounds: 12,
		Rate:   "texts/s",
		Cases: []bench.Case{ofTexts(own(Gomai, precision, func(m *models.Model) (bench.Round, error) {
			texts, err := TextsOf(Batch, BatchTokens)
			if err != nil {
				return nil, err
			}
			ctx, dst := context.Background(), make([]float32, Batch*m.Dim())
			run := func(n int) error {
				for range n {
					if err := m.EmbedBatchInto(ctx, texts, dst, nil); err != nil {
						return err
					}
				}
				return nil
			}
			return onOneCore(bench.Timed(1, run)), run(1)
		}), Batch)},
	}
}

// ofTexts says of a case that a call of it embeds n texts: its rate is in texts a second.
func ofTexts(c bench.Case, n int) bench.Case {
	c.Work = float64(n) * float64(time.Second)
	return c
}

// onOneCore is a Round with GOMAXPROCS at 1.
func onOneCore(r bench.Round) bench.Round {
	return func(sample func(float64)) error {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		return r(sample)
	}
}

// tail asks how much slower than usual one call in a thousand is, beside a plain loop of the same length.
func tail(beside bool) bench.Group {
	const loop = "plain loop"
	g := bench.Group{
		Name:   "tail, idle",
		About:  "Single calls from a text of 32 tokens to its vector in the caller's slice, in turns with a plain loop that takes as long.",
		Rounds: 1500,
		Single: true,
		Limits: []bench.Limit{{Case: Gomai, Of: loop, Stat: bench.Tail, Bound: 2}},
	}
	if beside {
		g.Name = "tail, beside garbage"
		g.About += " Beside them a goroutine makes 200 MB of garbage a second, in pieces of 1 KiB of which 4 MiB are alive."
		g.Beside = bench.Garbage
		g.Limits[0].Bound = 3
	}
	const calls = 4
	length := 1 // of a call, in microseconds
	g.Cases = []bench.Case{
		own(Gomai, precision, func(m *models.Model) (bench.Round, error) {
			texts, err := TextsOf(1, 32)
			if err != nil {
				return nil, err
			}
			run := timedText(m, texts[0])
			if err := m.Warm(context.Background()); err != nil {
				return nil, err
			}
			least := time.Hour
			for range 50 {
				start := time.Now()
				if err := run(1); err != nil {
					return nil, err
				}
				least = min(least, time.Since(start))
			}
			length = int(least.Microseconds())
			return bench.Each(calls, run), nil
		}),
		weighed(bench.Case{Name: loop, Open: func() (bench.Round, func(), error) {
			x := bench.Inputs[0]
			return bench.Each(calls, func(n int) error {
				for range n {
					x = bench.Spin(length, x)
				}
				return nil
			}), nil, nil
		}}),
	}
	return g
}
