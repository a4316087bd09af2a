// Package cpu decides which level of the primitives runs: the best one that this processor has, unless
// MAI_CPU lowers it. It computes nothing itself.
package cpu

import (
	"fmt"
	"os"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Level is a set of instructions that primitives are written for. A higher one is preferred. Levels
// are no chain: AVX512 does not include AVXVNNI.
type Level uint8

const (
	Generic    Level = iota // plain Go: every machine has it
	AVX2                    // AVX2, FMA, F16C, BMI2
	AVXVNNI                 // AVX2 and VPDPBUSD on 256 bits (VEX)
	AVX512                  // AVX-512 F, BW, DQ, VL, CD
	AVX512VNNI              // AVX512 and VPDPBUSD on 512 bits
	AMX                     // AVX512VNNI and AMX tiles for int8
)

var levelNames = [...]string{"generic", "avx2", "avx-vnni", "avx512", "avx512-vnni", "amx"}

func (l Level) String() string { return levelNames[l] }

// Feature is an instruction set that some primitives of a level want beside it.
type Feature uint8

const (
	VBMI      Feature = 1 << iota // AVX512_VBMI: byte permutes over 64 and 128 entries
	VPOPCNTDQ                     // AVX512_VPOPCNTDQ
	BF16                          // AVX512_BF16
	AMXBF16                       // AMX tiles for bfloat16
)

// Env is the variable that lowers the level.
const Env = "MAI_CPU"

// Error says that MAI_CPU asks for a level that cannot run.
type Error struct {
	Value string
}

func (e *Error) Error() string {
	names := make([]string, 0, len(levels))
	for _, l := range levels {
		names = append(names, l.String())
	}
	return fmt.Sprintf("%s=%s: no such level on this machine; it has %s", Env, e.Value, strings.Join(names, ", "))
}

var (
	levels   []Level // what this machine can run, best first
	features Feature
	active   Level
	envErr   error
)

func init() {
	levels, features = probe()
	active = levels[0]
	if v := os.Getenv(Env); v != "" {
		envErr = &Error{Value: v}
		for _, l := range levels {
			if l.String() == v {
				active, envErr = l, nil
			}
		}
	}
}

// probe returns what this processor can run.
func probe() (levels []Level, features Feature) {
	if !compiled {
		return []Level{Generic}, 0
	}
	c := &cpuid.CPU
	has512 := c.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.AVX512CD)
	if has512 && c.Supports(cpuid.AVX512VNNI) {
		levels = append(levels, AVX512VNNI)
	}
	if has512 {
		levels = append(levels, AVX512)
	}
	if c.Supports(cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.BMI2) {
		if c.Supports(cpuid.AVXVNNI) {
			levels = append(levels, AVXVNNI)
		}
		levels = append(levels, AVX2)
	}
	levels = append(levels, Generic)
	for f, id := range map[Feature]cpuid.FeatureID{VBMI: cpuid.AVX512VBMI, VPOPCNTDQ: cpuid.AVX512VPOPCNTDQ, BF16: cpuid.AVX512BF16} {
		if has512 && c.Supports(id) {
			features |= f
		}
	}
	return levels, features
}

// Detect returns the level that runs. A value of MAI_CPU that this machine cannot follow is an *Error,
// never ignored: whoever sets it wants to know what was measured.
func Detect() (Level, error) { return active, envErr }

// Levels returns the levels that this machine can run, best first, whatever MAI_CPU says.
func Levels() []Level { return levels }

// Use makes l the level that runs, without the features of hide, until restore is called: tests run
// every primitive at every level with it. Nothing else may run meanwhile.
func Use(l Level, hide Feature) (restore func()) {
	a, f := active, features
	set(l, features&^hide)
	return func() { set(a, f) }
}

func set(l Level, f Feature) {
	active, features = l, f
	for _, p := range primitives {
		p.choose()
	}
}
