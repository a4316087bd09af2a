package peak

import (
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// Every level that this machine has, plain Go left out, has a loop, and it runs.
func TestLoops(t *testing.T) {
	for _, l := range cpu.Levels() {
		if l == cpu.Generic {
			continue
		}
		loop, ok := I8(l)
		if !ok || !(loop.Rate(1) > 0) {
			t.Errorf("int8 at %v: no rate", l)
		}
		if loop, ok = BF16(l); ok && !(loop.Rate(1) > 0) {
			t.Errorf("bfloat16 at %v: no rate", l)
		}
		if l == cpu.AVX512 || l == cpu.AVX2 {
			if loop, ok = F32(l); !ok || !(loop.Rate(1) > 0) {
				t.Errorf("float32 at %v: no rate", l)
			}
		}
	}
}

func BenchmarkPeak(b *testing.B) {
	for _, l := range cpu.Levels() {
		for name, of := range map[string]func(cpu.Level) (Loop, bool){"i8": I8, "bf16": BF16, "f32": F32} {
			loop, ok := of(l)
			if !ok {
				continue
			}
			b.Run(name+"/"+l.String(), func(b *testing.B) {
				var best float64
				for b.Loop() {
					best = max(best, loop.Rate(1))
				}
				b.ReportMetric(best, "GOPS")
			})
		}
	}
}
