package models_test

import (
	"context"
	"fmt"

	"github.com/maida-ai/gomai/models"
)

func Example() {
	m, err := models.Builtin() // or models.Open("path/to/all-MiniLM-L6-v2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	vector := make([]float32, m.Dim())
	info, err := m.EmbedInto(context.Background(), "hello world", vector, models.MaxTokens(256))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(vector), info.Tokens, info.Known)
	// Output: 192 2 1
}
