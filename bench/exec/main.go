// Command exec prints what package bench measures of the execution engine, with the limits that the
// project sets itself.
package main

import "github.com/maida-ai/gomai/bench"

func main() { bench.Main("exec", "go run ./bench/exec", bench.Groups()) }
