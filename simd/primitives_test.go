package simd

import (
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// features says which features each level may want: those of higher levels never run there.
func features(l cpu.Level) cpu.Feature {
	switch {
	case l == cpu.AMX:
		return cpu.VBMI | cpu.VPOPCNTDQ | cpu.BF16 | cpu.AMXBF16
	case l >= cpu.AVX512:
		return cpu.VBMI | cpu.VPOPCNTDQ | cpu.BF16
	}
	return 0
}

// The table that primitives register is what mai doctor shows: each variant in it can be reached.
func TestRegisteredVariants(t *testing.T) {
	names := map[string]bool{}
	for _, p := range cpu.Primitives() {
		if names[p.Name] {
			t.Errorf("%s is registered twice", p.Name)
		}
		names[p.Name] = true
		for i, v := range p.Variants {
			if v.Level == cpu.Generic {
				t.Errorf("%s registers plain Go, which every primitive has", p.Name)
			}
			if extra := v.Needs &^ features(v.Level); extra != 0 {
				t.Errorf("%s: %v does not go with %v", p.Name, v.Level, extra)
			}
			for _, earlier := range p.Variants[:i] {
				switch {
				case earlier.Level < v.Level:
					t.Errorf("%s: %v stands before %v, which is better", p.Name, earlier, v)
				case earlier.Level == v.Level && earlier.Needs&^v.Needs == 0:
					t.Errorf("%s: %v never runs, because %v is taken first", p.Name, v, earlier)
				}
			}
			checkReached(t, p, v)
		}
		checkReached(t, p, cpu.Variant{})
	}
	if !names["DotF32"] {
		t.Error("DotF32 is not registered")
	}
}

// checkReached checks that v runs where its level is the highest and its features are all there are, if
// this machine can run it.
func checkReached(t *testing.T, p *cpu.Primitive, v cpu.Variant) {
	t.Helper()
	if cpu.Available()&v.Needs != v.Needs {
		return
	}
	for _, l := range cpu.Levels() {
		if l == v.Level {
			restore := cpu.Use(l, cpu.Available()&^v.Needs)
			if got := p.Variant(); got != v {
				t.Errorf("%s: where %v can run, %v does", p.Name, v, got)
			}
			restore()
		}
	}
}

// Every level of this machine is some primitive's: otherwise the tests at that level test another one.
func TestEveryLevelRuns(t *testing.T) {
	for _, l := range cpu.Levels() {
		restore := cpu.Use(l, 0)
		runs := 0
		for _, p := range cpu.Primitives() {
			if p.Level() == l {
				runs++
			}
		}
		restore()
		if runs == 0 {
			t.Errorf("no primitive runs at %v", l)
		}
	}
}
