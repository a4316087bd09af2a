package embedtest_test

import (
	"context"
	"fmt"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models/embedtest"
	"github.com/maida-ai/gomai/types"
)

// nearest is code under test: which of texts is nearest to query.
func nearest(ctx context.Context, e types.Embedder, query string, texts []string) (string, error) {
	q, v := make([]float32, e.Dim()), make([]float32, e.Dim())
	if _, err := e.EmbedInto(ctx, query, q); err != nil {
		return "", err
	}
	best, score := "", -2.0
	for _, text := range texts {
		if _, err := e.EmbedInto(ctx, text, v); err != nil {
			return "", err
		}
		if s := metrics.Cosine(q, v); s > score {
			best, score = text, s
		}
	}
	return best, nil
}

func Example() {
	texts := []string{"stocks fell again", "the cat sat on the mat", "rain in the north"}
	fmt.Println(nearest(context.Background(), &embedtest.Embedder{}, "a cat on a mat", texts))
	// Output: the cat sat on the mat <nil>
}
