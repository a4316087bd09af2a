package simd

import (
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// eachLevel runs f at every level that this machine has, so that each switch takes each of its ways.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, l := range cpu.Levels() {
		t.Run(l.String(), func(t *testing.T) {
			defer cpu.Use(l, 0)()
			f(t)
		})
	}
}
