// Package peak holds loops that do one thing only, to measure how fast this processor multiplies and adds,
// or loads, when nothing else stands in the way: what benchmarks compare primitives with.
package peak

import (
	"time"

	"github.com/maida-ai/gomai/internal/cpu"
)

// A Loop is a level's multiply-add on registers.
type Loop struct {
	Instructions string
	operations   int // of one turn, multiplications and additions counted apart
	run          func(numbers *byte, turns int)
}

// Rate returns the fastest of rounds of about 50 us, in operations a nanosecond.
func (l Loop) Rate(rounds int) float64 {
	const turns = 20_000
	numbers := someNumbers()
	var best float64
	for range rounds {
		start := time.Now()
		l.run(&numbers[0], turns)
		best = max(best, float64(turns*l.operations)/float64(time.Since(start)))
	}
	return best
}

// I8 returns the loop of a level's u8 x s8 multiply-add, if it has one. That of AVX2 and of AVX512 is the
// usual one, whose sums of two products saturate.
func I8(l cpu.Level) (loop Loop, ok bool) {
	loop, ok = loopsI8[l]
	return loop, ok
}

// F32 returns the loop of a level's float32 multiply-add, if it has one.
func F32(l cpu.Level) (loop Loop, ok bool) {
	loop, ok = loopsF32[l]
	return loop, ok
}

// BF16 returns the loop of a level's bfloat16 multiply-add, if it has one and this machine can run it.
func BF16(l cpu.Level) (loop Loop, ok bool) {
	loop, ok = loopsBF16[l]
	needs := cpu.BF16
	if l == cpu.AMX {
		needs = cpu.AMXBF16
	}
	return loop, ok && cpu.Available()&needs != 0
}

// someNumbers are four vectors that are random bytes and, as float32, near one, and a vector of 16-bit
// ones.
func someNumbers() *[320]byte {
	var numbers [320]byte
	x := uint32(1)
	for i := range 256 {
		x = x*1664525 + 1013904223
		numbers[i] = byte(x >> 24)
		if i%4 == 3 {
			numbers[i] = 0x3f
		}
	}
	for i := 256; i < len(numbers); i += 2 {
		numbers[i] = 1
	}
	return &numbers
}
