package encoder

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
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
		Cases: []bench.Case{OfTexts(own(Gomai, precision, func(m *models.Model) (bench.Round, error) {
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

// BatchBound is how many times as fast as OpenVINO's best batch gomai's has to be on this machine.
func BatchBound() float64 {
	return withTiles(4, 1.75)
}

// BatchIDs are those of the texts of a batch.
func BatchIDs() ([][]int32, error) {
	texts, err := TextsOf(Batch, BatchTokens)
	if err != nil {
		return nil, err
	}
	return split(texts)
}

// OfTexts says of a case that a call of it embeds n texts: its rate is in texts a second.
func OfTexts(c bench.Case, n int) bench.Case {
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

// Callers is how many call at once in the groups of many callers.
const Callers = 64

// callers are two groups of many callers on one core, who share batches without knowing: how much all get
// done, held to a limit, and how long each waits.
func callers(tokens int, bound float64) []bench.Group {
	const batched, alone = "batched", "each by itself"
	about := fmt.Sprintf("%d goroutines on one core that call EmbedInto again and again, each with a text of %d tokens of its own. ", Callers, tokens)
	calls := 160 / tokens
	rate := bench.Group{
		Name: fmt.Sprintf("%d callers, %d tokens", Callers, tokens), About: about + "What all get done.", Rounds: 12, Rate: "texts/s",
		Limits: []bench.Limit{{Case: batched, Of: alone, Stat: bench.Min, Bound: bound, AtLeast: true}},
	}
	wait := bench.Group{Name: rate.Name + ", waiting", About: about + "The time from a call to its vector.", Rounds: 12, Single: true}
	for _, on := range []bool{true, false} {
		name := map[bool]string{true: batched, false: alone}[on]
		prepare := func(round func(run crowd) bench.Round) func(*models.Model) (bench.Round, error) {
			return func(m *models.Model) (bench.Round, error) {
				texts, err := TextsOf(Callers, tokens)
				if err != nil {
					return nil, err
				}
				run := crowd{m, texts, models.Batching(on)}
				return onOneCore(round(run)), run.calls(calls, func(float64) {})
			}
		}
		rate.Cases = append(rate.Cases, OfTexts(own(name, precision, prepare(func(run crowd) bench.Round {
			return bench.Timed(1, func(n int) error { return run.calls(n*calls, func(float64) {}) })
		})), Callers*calls))
		wait.Cases = append(wait.Cases, own(name, precision, prepare(func(run crowd) bench.Round {
			return func(sample func(float64)) error { return run.calls(calls, sample) }
		})))
	}
	return []bench.Group{rate, wait}
}

// crowd are callers, one for each text.
type crowd struct {
	model  *models.Model
	texts  []string
	option models.Option
}

// calls lets each make n calls, one after the other, and hands on the time of every call.
func (c crowd) calls(n int, sample func(ns float64)) error {
	times, errs := make([]float64, n*len(c.texts)), make([]error, len(c.texts))
	var all sync.WaitGroup
	for i, text := range c.texts {
		all.Go(func() {
			dst := make([]float32, c.model.Dim())
			for j := range n {
				start := time.Now()
				if _, err := c.model.EmbedInto(context.Background(), text, dst, c.option); err != nil {
					errs[i] = err
				}
				times[i*n+j] = float64(time.Since(start))
			}
		})
	}
	all.Wait()
	for _, ns := range times {
		sample(ns)
	}
	return errors.Join(errs...)
}

// withTiles is a bound on this machine: one where products are made of tiles, and another where they are not.
func withTiles(tiles, other float64) float64 {
	if level, _ := cpu.Detect(); level == cpu.AMX {
		return tiles
	}
	return other
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
