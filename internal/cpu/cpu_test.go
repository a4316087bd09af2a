package cpu

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pretend makes the package believe in a machine until the test ends, without primitives of its own.
func pretend(t *testing.T, can []Level, has Feature) {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	old := struct {
		levels   []Level
		features Feature
		why      [levelCount]string
		limit    Level
		lowered  string
		hidden   Feature
		all      []*Primitive
	}{levels, features, why, limit, lowered, hidden, primitives}
	levels, features, why, limit, lowered, hidden, primitives = can, has, [levelCount]string{}, can[0], "", 0, nil
	for l := range why {
		if !slices.Contains(can, Level(l)) {
			why[l] = "the CPU lacks it"
		}
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		levels, features, why = old.levels, old.features, old.why
		limit, lowered, hidden, primitives = old.limit, old.lowered, old.hidden, old.all
		chooseAll()
	})
}

var (
	sapphireRapids = []Level{AMX, AVX512VNNI, AVX512, AVXVNNI, AVX2, Generic}
	allFeatures    = VBMI | VPOPCNTDQ | BF16 | AMXBF16
)

func TestChoice(t *testing.T) {
	pretend(t, sapphireRapids, allFeatures)
	everywhere := Implement("everywhere", Variant{AMX, AMXBF16}, Variant{AMX, 0}, Variant{AVX512VNNI, VBMI},
		Variant{AVX512VNNI, 0}, Variant{AVX512, 0}, Variant{AVXVNNI, 0}, Variant{AVX2, 0})
	some := Implement("some", Variant{AVX512, VBMI | BF16}, Variant{AVX2, 0})
	none := Implement("none")
	for _, test := range []struct {
		limit            Level
		hide             Feature
		everywhere, some Variant
	}{
		{AMX, 0, Variant{AMX, AMXBF16}, Variant{AVX512, VBMI | BF16}},
		{AMX, AMXBF16, Variant{AMX, 0}, Variant{AVX512, VBMI | BF16}},
		{AVX512VNNI, 0, Variant{AVX512VNNI, VBMI}, Variant{AVX512, VBMI | BF16}},
		{AVX512VNNI, BF16, Variant{AVX512VNNI, VBMI}, Variant{AVX2, 0}},
		{AVX512VNNI, VBMI, Variant{AVX512VNNI, 0}, Variant{AVX2, 0}},
		{AVX512, 0, Variant{AVX512, 0}, Variant{AVX512, VBMI | BF16}},
		{AVXVNNI, 0, Variant{AVXVNNI, 0}, Variant{AVX2, 0}},
		{AVX2, 0, Variant{AVX2, 0}, Variant{AVX2, 0}},
		{Generic, 0, Variant{}, Variant{}},
	} {
		restore := Use(test.limit, test.hide)
		if l, err := Detect(); l != test.limit || err != nil {
			t.Errorf("with %v allowed, %v runs (%v)", test.limit, l, err)
		}
		for p, want := range map[*Primitive]Variant{everywhere: test.everywhere, some: test.some, none: {}} {
			if got := p.Variant(); got != want || p.Level() != want.Level {
				t.Errorf("%s with %v allowed, %v hidden: %v runs, want %v", p.Name, test.limit, test.hide, got, want)
			}
			if n := slices.Index(p.Variants, want); len(p.Better()) != max(n, 0) && want != (Variant{}) {
				t.Errorf("%s with %v allowed: %v are better, want %d", p.Name, test.limit, p.Better(), n)
			}
			for _, b := range p.Better() {
				if b.Reason != "lowered by a test" {
					t.Errorf("%s: %v does not run because %q", p.Name, b.Variant, b.Reason)
				}
			}
		}
		restore()
	}
	if got := everywhere.Variant(); got != (Variant{AMX, AMXBF16}) {
		t.Errorf("after all was restored, %v runs", got)
	}
	if got := Primitives(); !slices.Equal(got, []*Primitive{everywhere, none, some}) {
		t.Errorf("registered are %v", got)
	}
}

func TestBetter(t *testing.T) {
	pretend(t, []Level{AVX512VNNI, AVX512, AVX2, Generic}, VPOPCNTDQ)
	p := Implement("p", Variant{AMX, AMXBF16}, Variant{AVX512, VPOPCNTDQ | BF16 | VBMI}, Variant{AVX512, 0}, Variant{AVX2, 0})
	want := []Unused{
		{Variant{AMX, AMXBF16}, "the CPU lacks it"},
		{Variant{AVX512, VPOPCNTDQ | BF16 | VBMI}, "the CPU lacks avx512vbmi, avx512_bf16"},
	}
	if got := p.Better(); !slices.Equal(got, want) || p.Level() != AVX512 {
		t.Errorf("%v runs; better are %v, want %v", p.Variant(), got, want)
	}
}

func TestDisable(t *testing.T) {
	for _, test := range []struct {
		disable  Level
		levels   string
		features Feature
		level    Level // of a primitive with all of them
	}{
		{AMX, "avx512-vnni avx512 avx-vnni avx2 generic", VBMI | VPOPCNTDQ | BF16, AVX512VNNI},
		{AVX512VNNI, "avx512 avx-vnni avx2 generic", VBMI | VPOPCNTDQ | BF16, AVX512},
		{AVX512, "avx-vnni avx2 generic", 0, AVXVNNI},
		{AVXVNNI, "amx avx512-vnni avx512 avx2 generic", allFeatures, AMX},
		{AVX2, "generic", 0, Generic},
	} {
		t.Run(test.disable.String(), func(t *testing.T) {
			pretend(t, sapphireRapids, allFeatures)
			p := Implement("p", Variant{AMX, 0}, Variant{AVX512VNNI, 0}, Variant{AVX512, 0}, Variant{AVXVNNI, 0}, Variant{AVX2, 0})
			before := Levels()
			Disable(test.disable, "self-test failed")
			if got := names(Levels()); got != test.levels || Available() != test.features {
				t.Errorf("left are %s with %v, want %s with %v", got, Available(), test.levels, test.features)
			}
			if l, err := Detect(); l != Levels()[0] || err != nil {
				t.Errorf("%v runs (%v)", l, err)
			}
			if p.Level() != test.level {
				t.Errorf("the primitive runs at %v, want %v", p.Level(), test.level)
			}
			for _, l := range before {
				if got := Why(l); got != "" != !slices.Contains(Levels(), l) || got != "" && got != "self-test failed" {
					t.Errorf("no %v because %q", l, got)
				}
			}
			if !slices.Equal(before, sapphireRapids) {
				t.Error("the levels returned earlier have changed")
			}
			Disable(test.disable, "another reason")
			if got := Why(test.disable); got != "self-test failed" {
				t.Errorf("disabled twice, the reason is %q", got)
			}
		})
	}
}

func TestDisableGeneric(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("plain Go was disabled")
		}
	}()
	Disable(Generic, "no reason")
}

// A self-test may fail while other goroutines compute. The race detector watches.
func TestDisableMeanwhile(t *testing.T) {
	pretend(t, sapphireRapids, allFeatures)
	p := Implement("p", Variant{AMX, AMXBF16}, Variant{AVX512, VBMI})
	begun, done := make(chan bool), make(chan bool)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			begun <- true
			for {
				switch p.Variant() {
				case Variant{AMX, AMXBF16}, Variant{AVX512, VBMI}:
				default:
					t.Errorf("%v runs, a mixture", p.Variant())
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	Disable(AMX, "self-test failed")
	close(done)
	group.Wait()
	if p.Level() != AVX512 {
		t.Errorf("%v runs", p.Level())
	}
}

func TestLower(t *testing.T) {
	pretend(t, []Level{AVX512VNNI, AVX512, AVXVNNI, AVX2, Generic}, 0)
	for value, want := range map[string]string{
		"abacus":      "MAI_CPU=abacus: there is no such level; this machine has avx512-vnni, avx512, avx-vnni, avx2, generic",
		"AVX2":        "MAI_CPU=AVX2: there is no such level; this machine has avx512-vnni, avx512, avx-vnni, avx2, generic",
		"amx":         "MAI_CPU=amx: the CPU lacks it; this machine has avx512-vnni, avx512, avx-vnni, avx2, generic",
		"avx512-vnni": "", "avx-vnni": "", "generic": "",
	} {
		limit, lowered = AVX512VNNI, ""
		err := lower(value)
		var typed *Error
		switch {
		case want == "" && (err != nil || active().String() != value):
			t.Errorf("%s=%s: %v runs, %v", Env, value, active(), err)
		case want != "" && (!errors.As(err, &typed) || err.Error() != want || typed.Value != value || active() != AVX512VNNI):
			t.Errorf("%s=%s: %v runs, %v, want %s", Env, value, active(), err, want)
		}
	}
	if err := lower("avx-vnni"); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[Level]string{
		AMX: "the CPU lacks it", AVX512VNNI: "lowered by MAI_CPU=avx-vnni", AVX512: "lowered by MAI_CPU=avx-vnni",
		AVXVNNI: "", AVX2: "", Generic: "",
	} {
		if got := Why(l); got != want {
			t.Errorf("no %v because %q, want %q", l, got, want)
		}
	}
}

// What this process found out about its own machine fits together.
func TestThisMachine(t *testing.T) {
	all := Levels()
	if n := len(all); n == 0 || all[n-1] != Generic {
		t.Fatalf("levels %v do not end with plain Go", all)
	}
	if !slices.IsSortedFunc(all, func(a, b Level) int { return int(b) - int(a) }) {
		t.Errorf("levels %v are not in order", all)
	}
	for l := range Level(levelCount) {
		if got := why[l]; (got == "") != slices.Contains(all, l) {
			t.Errorf("no %v because %q, though levels are %v", l, got, all)
		}
	}
	for i := range all {
		all[i] = AMX // a copy
	}
	all = Levels()
	if all[len(all)-1] != Generic {
		t.Errorf("whoever asked for the levels could change them to %v", all)
	}
	restore := Use(AVX2, 0)
	defer restore()
	if got := Levels(); !slices.Equal(got, all) {
		t.Errorf("lowered, the machine has %v", got)
	}
}

func TestNames(t *testing.T) {
	if got := (VBMI | AMXBF16).String(); got != "avx512vbmi, amx_bf16" {
		t.Errorf("features are called %q", got)
	}
	if got := strings.Count(instructions(1<<len(cpuidBits)-1).String(), ",") + 1; got != len(cpuidBits) {
		t.Errorf("%d of %d instruction sets have a name", got, len(cpuidBits))
	}
	for _, f := range Features {
		if f.String() == "" {
			t.Errorf("feature %#x has no name", uint8(f))
		}
	}
}
