// Command models prints what package bench/encoder measures of text to vector, with the limits that the
// project sets itself.
package main

import (
	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/bench/encoder"
)

func main() {
	bench.Program{Section: "models", Command: "go run ./bench/models", Groups: encoder.Groups()}.Main()
}
