package faketime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/sched"
)

// after answers with score after d, and does not listen to its ctx.
func after(d time.Duration, score float64) Score {
	return func(context.Context, string) (float64, error) {
		time.Sleep(d)
		return score, nil
	}
}

func TestPipeline(t *testing.T) {
	for _, c := range []struct {
		name     string
		services []Score
		want     float64
		err      error
		took     time.Duration
	}{
		{"as slow as the slowest", []Score{after(50*time.Millisecond, 0.3), after(150*time.Millisecond, 0.9)}, 0.9, nil, 150 * time.Millisecond},
		{"one is too slow", []Score{after(50*time.Millisecond, 0.3), after(time.Hour, 0.9)}, 0, context.DeadlineExceeded, 200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sched.New() // made, and closed, in the bubble: its time is the bubble's
				defer s.Close()
				e, err := layers.Compile(Pipeline(c.services...), layers.On(s))
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				got, err := e.Call(t.Context(), "text")
				if !errors.Is(err, c.err) || got != c.want {
					t.Errorf("got %v, %v; want %v, %v", got, err, c.want, c.err)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				time.Sleep(time.Hour) // a bubble ends when its goroutines have: also the service nobody waits for
			})
		})
	}
}
