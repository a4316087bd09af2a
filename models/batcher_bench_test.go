package models

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkLone is what the batcher costs a caller who is alone: with an encoder that does nothing the
// difference of the two.
func BenchmarkLone(b *testing.B) {
	for _, tokens := range []int{8, 48} {
		for _, direct := range []bool{true, false} {
			b.Run(fmt.Sprintf("%d/batching=%v", tokens, !direct), func(b *testing.B) {
				m, e := fakeModel(b, 128, func(context.Context, int) error { return nil })
				e.silent = true
				e.encoder = nothing{e.encoder}
				m.encoder, m.batcher.encoder = e.encoder, e.encoder
				m.defaults.direct = direct
				ids, dst := make([]int32, tokens), newDst(m)
				b.ReportAllocs()
				for b.Loop() {
					if err := m.EmbedIDsInto(b.Context(), ids, dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

type nothing struct{ encoder }

func (nothing) embedBatch(context.Context, []sequence, *scratch) {}

// BenchmarkCallers has 64 callers on one processor, each with the next text as soon as it has the vector
// of the last. The encoder takes the time of int8 without AMX: as if each batch had some rows more than
// it has.
func BenchmarkCallers(b *testing.B) {
	const row = 27500 * time.Nanosecond
	for _, tokens := range []int{8, 32} {
		var alone time.Duration
		for _, direct := range []bool{true, false} {
			b.Run(fmt.Sprintf("%d/batching=%v", tokens, !direct), func(b *testing.B) {
				processors(b, 1)
				m, e := fakeModel(b, 128, burns(6*row, row))
				e.silent = true
				m.defaults.direct = direct
				per := callers(b, m, tokens)
				if direct {
					alone = per
				} else if alone > 0 {
					b.ReportMetric(float64(alone)/float64(per), "times")
				}
			})
		}
	}
}

// burns is works that counts the processor's time and not the clock's, in which others run, too.
func burns(base, row time.Duration) func(context.Context, int) error {
	const probe = 1e7
	begin := time.Now()
	burnt.Add(burn(probe))
	perNano := probe / float64(time.Since(begin))
	return func(_ context.Context, rows int) error {
		burnt.Add(burn(int(perNano * float64(base+time.Duration(rows)*row))))
		return nil
	}
}

// burnt keeps the compiler from dropping burn.
var burnt atomic.Uint64

func burn(n int) (x uint64) {
	for i := range uint64(n) {
		x = x*31 + i
	}
	return x
}

// callers shares b.N texts among 64 callers, and returns the time for one.
func callers(b *testing.B, m *Model, tokens int) time.Duration {
	const callers = 64
	var mu sync.Mutex
	var waits []time.Duration
	var wg sync.WaitGroup
	begin := time.Now()
	for g := range callers {
		wg.Go(func() {
			ids, dst := make([]int32, tokens), newDst(m)
			var own []time.Duration
			for i := g; i < b.N; i += callers {
				ids[0], ids[1], ids[2] = int32(20+g), int32(20+i%100), int32(20+i/100%100)
				start := time.Now()
				if err := m.EmbedIDsInto(b.Context(), ids, dst); err != nil {
					b.Error(err)
				}
				own = append(own, time.Since(start))
			}
			mu.Lock()
			waits = append(waits, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	per := time.Since(begin) / time.Duration(b.N)
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(per.Nanoseconds())/1e3, "us/text")
	return per
}
