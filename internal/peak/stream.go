package peak

import (
	"encoding/binary"

	"github.com/maida-ai/gomai/internal/cpu"
)

// StreamBytes is what the length of Stream's argument is a multiple of.
const StreamBytes = 512

var streamCode = cpu.Implement("Stream", cpu.Variant{Level: cpu.AVX512}, cpu.Variant{Level: cpu.AVX2})

// Stream loads every byte of p, whose length is a multiple of StreamBytes, with the widest loads that
// the level has, and does nothing with them.
func Stream(p []byte) {
	if len(p)%StreamBytes != 0 {
		panic("peak: Stream: length is no multiple of StreamBytes")
	}
	if len(p) > 0 {
		stream(p)
	}
}

// streamGeneric returns what it loaded, so that the compiler leaves no load out.
//
//go:noinline
func streamGeneric(p []byte) uint64 {
	var a, b, c, d uint64
	for ; len(p) >= 32; p = p[32:] {
		a |= binary.LittleEndian.Uint64(p)
		b |= binary.LittleEndian.Uint64(p[8:])
		c |= binary.LittleEndian.Uint64(p[16:])
		d |= binary.LittleEndian.Uint64(p[24:])
	}
	return a | b | c | d
}
