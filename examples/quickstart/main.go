// Quickstart compares two texts: it embeds both with the model in the binary, asks two agents at once
// how alike they are, and says the answer in words. Copy it and change what you like.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/steps"
	"github.com/maida-ai/gomai/types"
)

// Agent1 imagines a call to a service: it waits, and then answers.
func Agent1(metric metrics.Metric) layers.Module[[]types.Embedding, float64] {
	return layers.Func("agent1", func(ctx context.Context, e []types.Embedding) (float64, error) {
		select {
		case <-time.After(20 * time.Millisecond):
			return metrics.Compare(metric, &e[0], &e[1])
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// Agent2 computes.
func Agent2(metric metrics.Metric) layers.Module[[]types.Embedding, float64] {
	return steps.Similarity(metric).With(layers.Name("agent2"))
}

func pipeline(model *models.Model) layers.Module[[]string, string] {
	return layers.Sequential6(
		steps.Tokenize(model.Tokenizer()),
		steps.Embed(model),
		layers.Parallel(
			Agent1(metrics.Cosine).With(layers.Blocking, layers.Timeout(500*time.Millisecond)),
			Agent2(metrics.Cosine).With(layers.Timeout(300*time.Millisecond)),
		),
		layers.Aggregate(layers.Mean[float64]),
		layers.BlockingDelay[float64](100*time.Millisecond),
		steps.Humanize().With(steps.Threshold.Set(0.75)),
	).With(layers.Name("quickstart"), layers.Timeout(time.Second))
}

func main() {
	model, err := models.Builtin()
	if err != nil {
		log.Fatal(err)
	}
	engine, err := layers.Compile(pipeline(model))
	if err != nil {
		log.Fatal(err)
	}
	var trace layers.TraceHandle
	answer, err := engine.Call(context.Background(), []string{"hello world", "Hello, world!"}, layers.Trace(&trace))
	for _, s := range trace.Spans {
		fmt.Fprintf(os.Stderr, "%-36s %12v\n", s.Path, s.Duration)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
}
