// Package cpu decides which level of the primitives runs: the best one that this processor, the operating
// system and the start-up self-tests allow, unless MAI_CPU lowers it. It knows why a level does not run,
// and what the processor says of itself. It computes nothing.
package cpu

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// Level is a set of instructions that primitives are written for. A higher one is preferred. Levels are
// no chain: AVX512 does not include AVXVNNI.
type Level uint8

const (
	Generic    Level = iota // plain Go: every machine has it
	AVX2                    // AVX, AVX2, FMA, F16C, BMI1, BMI2, POPCNT
	AVXVNNI                 // AVX2 and VPDPBUSD on 256 bits (VEX)
	AVX512                  // AVX2 and AVX-512 F, BW, DQ, VL, CD
	AVX512VNNI              // AVX512 and VPDPBUSD on 512 bits
	AMX                     // AVX512VNNI, AVX512_VBMI and AMX tiles for int8
)

const levelCount = int(AMX) + 1

var levelNames = [levelCount]string{"generic", "avx2", "avx-vnni", "avx512", "avx512-vnni", "amx"}

func (l Level) String() string { return levelNames[l] }

// Feature is a set of instructions that some primitives of a level want beside it.
type Feature uint8

const (
	VBMI      Feature = 1 << iota // AVX512_VBMI, from AVX512 on: byte permutes over 64 and 128 entries
	VPOPCNTDQ                     // AVX512_VPOPCNTDQ, from AVX512 on
	BF16                          // AVX512_BF16, from AVX512 on
	AMXBF16                       // AMX tiles for bfloat16
)

// Features are all features, in the order of their bits.
var Features = [...]Feature{VBMI, VPOPCNTDQ, BF16, AMXBF16}

// String names the features as /proc/cpuinfo does.
func (f Feature) String() string {
	var has instructions
	for _, n := range featureNeeds {
		if f&n.feature != 0 {
			has |= n.own
		}
	}
	return has.String()
}

// Env is the variable that lowers the level.
const Env = "MAI_CPU"

// Error says that MAI_CPU asks for a level that cannot run.
type Error struct {
	Value  string
	Reason string // why this machine cannot run it; "" if there is no such level at all
	Has    []Level
}

func (e *Error) Error() string {
	names := make([]string, len(e.Has))
	for i, l := range e.Has {
		names[i] = l.String()
	}
	reason := "there is no such level"
	if e.Reason != "" {
		reason = e.Reason
	}
	return fmt.Sprintf("%s=%s: %s; this machine has %s", Env, e.Value, reason, strings.Join(names, ", "))
}

// What the probe found, and what was made of it. The probe and MAI_CPU set it before anything else runs;
// afterwards only Disable and, in tests, Use change it. mu guards all of it and every primitive's choice,
// which the switches read without it.
var (
	mu       sync.Mutex
	levels   []Level            // what can run, best first
	features Feature            // of those levels
	why      [levelCount]string // for each level that cannot run
	limit    Level              // none above it runs
	lowered  string             // who set the limit; "" if nobody did
	hidden   Feature            // not to be used
	envErr   error
)

func init() {
	levels, features, why = probe()
	limit = levels[0]
	if v := os.Getenv(Env); v != "" {
		envErr = lower(v)
	}
}

// lower sets the limit that MAI_CPU asks for.
func lower(value string) error {
	i := slices.Index(levelNames[:], value)
	if i < 0 {
		return &Error{Value: value, Has: levels}
	}
	if why[i] != "" {
		return &Error{Value: value, Reason: why[i], Has: levels}
	}
	limit, lowered = Level(i), Env+"="+value
	return nil
}

// Detect returns the level that runs. A value of MAI_CPU that this machine cannot follow is an *Error,
// never ignored: whoever sets it wants to know what was measured.
func Detect() (Level, error) {
	mu.Lock()
	defer mu.Unlock()
	return active(), envErr
}

// active returns the best level that can run and is not above the limit.
func active() Level {
	for _, l := range levels {
		if l <= limit {
			return l
		}
	}
	return Generic
}

// Levels returns the levels that this machine can run, best first, whatever MAI_CPU says.
func Levels() []Level {
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(levels)
}

// Available returns the features that this machine can run, whatever MAI_CPU says.
func Available() Feature {
	mu.Lock()
	defer mu.Unlock()
	return features
}

// Why returns why nothing runs at level l, "" if primitives written for it run.
func Why(l Level) string {
	mu.Lock()
	defer mu.Unlock()
	return whyNot(l)
}

func whyNot(l Level) string {
	if why[l] == "" && l > limit {
		return "lowered by " + lowered
	}
	return why[l]
}

// Disable takes level l, those that build on it and their features out of use until the process ends,
// because of reason: what a start-up self-test calls when code of that level computes something else than
// plain Go. It may be called beside running primitives, which end at the level that they chose, but what
// was packed for one level is not what another expects: call it before anything is packed, from an init.
func Disable(l Level, reason string) {
	if l == Generic {
		panic("cpu: Disable: plain Go cannot be disabled")
	}
	mu.Lock()
	defer mu.Unlock()
	levels, features, why = without(l, reason, levels, features, why)
	chooseAll()
}

// without returns what is left when level l and those that build on it cannot run.
func without(l Level, reason string, levels []Level, features Feature, why [levelCount]string) ([]Level, Feature, [levelCount]string) {
	builds := func(on Level) bool {
		for on != l && on != Generic {
			on = levelNeeds[on].base
		}
		return on == l
	}
	for above := range why {
		if why[above] == "" && builds(Level(above)) {
			why[above] = reason
		}
	}
	for _, n := range featureNeeds {
		if builds(n.base) {
			features &^= n.feature
		}
	}
	return slices.DeleteFunc(slices.Clone(levels), builds), features, why
}

// Use makes l the highest level that runs, without the features of hide, until restore is called: tests
// run every primitive at every level with it.
func Use(l Level, hide Feature) (restore func()) {
	mu.Lock()
	defer mu.Unlock()
	oldLimit, oldLowered, oldHidden := limit, lowered, hidden
	limit, lowered, hidden = l, "a test", hide
	chooseAll()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		limit, lowered, hidden = oldLimit, oldLowered, oldHidden
		chooseAll()
	}
}

func chooseAll() {
	for _, p := range primitives {
		p.choose()
	}
}
