// Command primitives prints what package bench/numeric measures of the primitives, with the limits of the
// machine and those that the project sets itself.
package main

import (
	"github.com/maida-ai/gomai/bench"
	"github.com/maida-ai/gomai/bench/numeric"
)

func main() {
	bench.Program{Section: "primitives", Command: "go run ./bench/primitives", Groups: numeric.Groups()}.Main()
}
