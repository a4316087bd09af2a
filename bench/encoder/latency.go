package encoder

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/models"
)

// Latency is one text of some tokens at a time, on one core, and how many times as fast as the best of its
// peers it has to be: with tiles and without.
type Latency struct {
	Tokens     int
	AMX, Other float64 // 0: no limit
}

// Latencies are all in the suite.
var Latencies = []Latency{
	{8, 2.6, 2.8}, {16, 0, 0}, {24, 0, 0}, {32, 3.9, 2.1}, {64, 0, 0}, {128, 5, 2}, {256, 0, 0}, {512, 7, 3.6},
}

// Bound is the limit on this machine.
func (l Latency) Bound() float64 { return withTiles(l.AMX, l.Other) }

// Name is that of the group.
func (l Latency) Name() string { return fmt.Sprintf("one text of %d tokens", l.Tokens) }

// Calls are those of a round, which takes some milliseconds.
func (l Latency) Calls() int { return max(1, 96/l.Tokens) }

// Group has the cases of gomai.
func (l Latency) Group() bench.Group {
	prepare := func(m *models.Model) (bench.Round, error) { return timedIDs(m, IDs(l.Tokens), l.Calls()) }
	g := bench.Group{
		Name:   l.Name(),
		About:  fmt.Sprintf("Random tokens to vector on one core, %d tokens, one text at a time.", l.Tokens),
		Rounds: min(60, 8000/l.Tokens),
		Cases:  []bench.Case{own(Gomai, precision, prepare)},
	}
	if precision != models.F32 {
		g.Cases = append(g.Cases, own(Gomai+" f32", models.F32, prepare))
	}
	return g
}

// steps asks whether time grows evenly with length.
func steps() bench.Group {
	const rise = "rise"
	return bench.Group{
		Name: "steps between lengths",
		About: "Time per token at every multiple of 8 up to 512, divided by that at the multiple before. Each is the " +
			"fastest of many calls, and the lengths take turns.",
		Rounds: 1,
		Single: true,
		Cases: []bench.Case{own(rise, precision, func(m *models.Model) (bench.Round, error) {
			return func(sample func(float64)) error { return rises(m, sample) }, nil
		})},
		Limits: []bench.Limit{{Case: rise, Stat: bench.Max, Bound: 1.1}},
	}
}

func rises(m *models.Model, sample func(float64)) error {
	const turns = 25
	ctx, dst := context.Background(), make([]float32, m.Dim())
	least := make([]time.Duration, 64)
	for turn := range turns {
		for i := range least {
			ids := IDs(8 * (i + 1))
			for range max(2, 8/(i+1)) {
				start := time.Now()
				if err := m.EmbedIDsInto(ctx, ids, dst); err != nil {
					return err
				}
				if d := time.Since(start); turn == 0 || d < least[i] {
					least[i] = d
				}
			}
		}
	}
	for i := range len(least) - 1 {
		before, after := float64(least[i])/float64(i+1), float64(least[i+1])/float64(i+2)
		sample(after / before)
	}
	return nil
}

// threads asks what a second core gives to one text.
func threads(tokens int) bench.Group {
	const one, two = "one thread", "two threads"
	prepare := func(m *models.Model) (bench.Round, error) { return timedIDs(m, IDs(tokens), max(1, 96/tokens)) }
	return bench.Group{
		Name:   fmt.Sprintf("two threads, %d tokens", tokens),
		About:  fmt.Sprintf("One text of %d tokens, computed by its caller alone and spread over a Runner that starts a goroutine for each piece but one.", tokens),
		Rounds: 60,
		Cases:  []bench.Case{own(one, precision, prepare), own(two, precision, prepare, models.Spread(goroutines{}))},
		Limits: []bench.Limit{{Case: one, Of: two, Stat: bench.Min, Bound: 1.6, AtLeast: true}},
	}
}

// goroutines is the plainest types.Runner.
type goroutines struct{}

func (goroutines) Run(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		wg.Go(func() { f(i) })
	}
	f(0)
	wg.Wait()
}

// levels compares the levels that older machines have with the one that servers have.
func levels() bench.Group {
	const tokens = 128
	g := bench.Group{
		Name:   "levels, 128 tokens",
		About:  "One text of 128 tokens on one core, at the levels that this machine can play.",
		Rounds: 40,
	}
	for l := cpu.AMX; l > cpu.Generic; l-- { // that one takes seconds
		c := own(l.String(), precision, func(m *models.Model) (bench.Round, error) { return timedIDs(m, IDs(tokens), 1) })
		c.Code = ""
		g.Cases = append(g.Cases, bench.AtLevel(l, c))
	}
	limit := func(l cpu.Level, least float64) bench.Limit {
		return bench.Limit{Case: cpu.AVX512VNNI.String(), Of: l.String(), Stat: bench.Min, Bound: least, AtLeast: true}
	}
	g.Limits = []bench.Limit{limit(cpu.AVXVNNI, 0.4), limit(cpu.AVX2, 0.25)}
	return g
}
