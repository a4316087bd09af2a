// Command exec prints what package bench measures of the execution engine, with the limits that the
// project sets itself.
package main

import "github.com/maida-ai/gomai/bench"

func main() {
	bench.Program{Section: "exec", Command: "go run ./bench/exec", Groups: bench.Groups()}.Main()
}
