//go:build !noasm

package cpu

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// Two other opinions on this machine: the kernel's and klauspost/cpuid's. A probe that is broken in such a
// way that it overlooks something would else be noticed by nobody: tests that run every level would pass.

// kernelSays returns the words that /proc/cpuinfo has for what the kernel lets programs use.
func kernelSays(t *testing.T) []string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no /proc/cpuinfo")
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	m := regexp.MustCompile(`(?m)^flags\s*: (.*)$`).FindSubmatch(info)
	if m == nil {
		t.Fatal("/proc/cpuinfo has no flags")
	}
	return strings.Fields(string(m[1]))
}

func TestKernelAgrees(t *testing.T) {
	flags := kernelSays(t)
	has := func(words string) bool {
		for w := range strings.FieldsSeq(words) {
			if !slices.Contains(flags, w) {
				return false
			}
		}
		return true
	}
	want := []Level{Generic}
	if has("avx avx2 fma f16c bmi1 bmi2 popcnt") {
		want = append(want, AVX2)
		if has("avx_vnni") {
			want = append(want, AVXVNNI)
		}
		if has("avx512f avx512bw avx512dq avx512vl avx512cd") {
			want = append(want, AVX512)
			if has("avx512_vnni") {
				want = append(want, AVX512VNNI)
				// The kernel shows tiles also to those whom it will deny them.
				if has("amx_tile amx_int8 avx512vbmi") && !strings.Contains(Why(AMX), "denied") {
					want = append(want, AMX)
				}
			}
		}
	}
	slices.Reverse(want)
	if got := Levels(); !slices.Equal(got, want) {
		t.Errorf("levels are %v, by /proc/cpuinfo %v", got, want)
	}
	var features Feature
	for f, word := range map[Feature]string{VBMI: "avx512vbmi", VPOPCNTDQ: "avx512_vpopcntdq", BF16: "avx512_bf16"} {
		if slices.Contains(want, AVX512) && has(word) {
			features |= f
		}
	}
	if slices.Contains(want, AMX) && has("amx_bf16") {
		features |= AMXBF16
	}
	if got := Available(); got != features {
		t.Errorf("features are %v, by /proc/cpuinfo %v", got, features)
	}
}

func TestLibraryAgrees(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("macOS enables the ZMM registers at their first use, which XCR0 does not tell beforehand")
	}
	low, high := readXCR0()
	enabled := registers(high)<<32 | registers(low)
	p := processor{cpuid: func(leaf, sub uint32) [4]uint32 {
		a, b, c, d := readCPUID(leaf, sub)
		return [4]uint32{a, b, c, d}
	}}
	has := p.instructions()
	for set, id := range map[instructions]cpuid.FeatureID{
		osxsave: cpuid.OSXSAVE, popcnt: cpuid.POPCNT, fma: cpuid.FMA3, f16c: cpuid.F16C, avx: cpuid.AVX,
		bmi1: cpuid.BMI1, avx2: cpuid.AVX2, bmi2: cpuid.BMI2, avxVNNI: cpuid.AVXVNNI,
		avx512f: cpuid.AVX512F, avx512bw: cpuid.AVX512BW, avx512dq: cpuid.AVX512DQ, avx512vl: cpuid.AVX512VL,
		avx512cd: cpuid.AVX512CD, avx512VNNI: cpuid.AVX512VNNI, avx512VBMI: cpuid.AVX512VBMI,
		avx512VPOPCNTDQ: cpuid.AVX512VPOPCNTDQ, avx512BF16: cpuid.AVX512BF16,
		amxTile: cpuid.AMXTILE, amxInt8: cpuid.AMXINT8, amxBF16: cpuid.AMXBF16,
	} {
		// The library hides what the operating system has not enabled; for tiles it looks at ZMM.
		want := has&set != 0
		switch {
		case set >= avx512f:
			want = want && enabled&(ymm|zmm) == ymm|zmm
		case set == avx || set == avx2 || set == fma || set == f16c || set == avxVNNI:
			want = want && enabled&ymm == ymm
		}
		if got := cpuid.CPU.Supports(id); got != want {
			t.Errorf("%v: %t, the library says %t", set, want, got)
		}
	}
}
