// Package faketime shows how to test a pipeline that waits, without waiting: its test runs in the fake
// time of testing/synctest, so a second takes no time and deadlines are exact.
package faketime

import (
	"context"
	"time"

	"github.com/maida-ai/gomai/layers"
)

// Score asks a service how good a text is. It may be slow.
type Score func(ctx context.Context, text string) (float64, error)

// Pipeline asks all services at once and returns the best score. A service has 200 ms, the whole 300 ms;
// one that fails ends the call.
func Pipeline(services ...Score) layers.Module[string, float64] {
	branches := make([]layers.Module[string, float64], len(services))
	for i, s := range services {
		branches[i] = layers.Func("score", s).With(layers.Blocking, layers.Timeout(200*time.Millisecond))
	}
	return layers.Sequential(
		layers.Parallel(branches...),
		layers.Aggregate(layers.Max[float64]),
	).With(layers.Name("best"), layers.Timeout(300*time.Millisecond))
}
