package metrics_test

import (
	"fmt"

	"github.com/maida-ai/gomai/metrics"
)

func ExampleCosine() {
	fmt.Printf("%.2f\n", metrics.Cosine([]float32{3, 4}, []float32{4, 3}))
	// Output: 0.96
}
