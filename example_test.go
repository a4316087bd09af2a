package gomai_test

import (
	"context"
	"fmt"
	"time"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/steps"
)

func Example() {
	model, err := models.Builtin() // or models.Open("path/to/a/model")
	if err != nil {
		panic(err)
	}
	engine, err := layers.Compile(layers.Sequential3(
		steps.Tokenize(model.Tokenizer()),
		steps.Embed(model),
		steps.Similarity(metrics.Cosine),
	).With(layers.Timeout(100 * time.Millisecond)))
	if err != nil {
		panic(err)
	}
	score, err := engine.Call(context.Background(), []string{"a fast car", "a quick automobile"})
	fmt.Printf("%.1f %v\n", score, err)
	// Output: 0.8 <nil>
}
