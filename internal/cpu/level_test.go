package cpu

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// recorded is a processor in testdata.
type recorded struct {
	pages map[[2]uint32][4]uint32 // by leaf and sub-leaf; none if only flags were recorded
	flags instructions
	xcr0  uint64
}

// processors reads testdata.
func processors(t *testing.T) map[string]recorded {
	t.Helper()
	text, err := os.ReadFile("testdata/processors.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]recorded{}
	var name string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, rest, _ := strings.Cut(line, " ")
		r := all[name]
		switch {
		case strings.HasPrefix(line, "["):
			name = strings.Trim(line, "[]")
			r = recorded{pages: map[[2]uint32][4]uint32{}}
		case key == "CPUID":
			var leaf, sub uint32
			var regs [4]uint32
			if _, err := fmt.Sscanf(rest, "%X: %X-%X-%X-%X", &leaf, &regs[0], &regs[1], &regs[2], &regs[3]); err != nil {
				t.Fatalf("%s: %s: %v", name, line, err)
			}
			if _, after, ok := strings.Cut(rest, "[SL "); ok {
				if _, err := fmt.Sscanf(after, "%X]", &sub); err != nil {
					t.Fatalf("%s: %s: %v", name, line, err)
				}
			}
			r.pages[[2]uint32{leaf, sub}] = regs
			if leaf == 0xD {
				r.xcr0 = uint64(regs[eax])
			}
		case key == "flags":
			r.flags, r.xcr0 = flags(rest), ^uint64(0)
		}
		all[name] = r
	}
	delete(all, "")
	return all
}

// flags returns the instructions among the flags of /proc/cpuinfo.
func flags(line string) (has instructions) {
	words := strings.Fields(line)
	for _, b := range cpuidBits {
		if slices.Contains(words, b.name) {
			has |= b.set
		}
	}
	return has
}

// processor answers as the recorded one did, under a kernel that answers the request for tiles so.
func (r recorded) processor(permission error, requests *int) processor {
	return processor{
		cpuid: func(leaf, sub uint32) [4]uint32 {
			// As Intel's: what lies beyond the highest leaf returns the highest one.
			if highest := r.pages[[2]uint32{}][eax]; leaf > highest {
				leaf = highest
			}
			return r.pages[[2]uint32{leaf, sub}]
		},
		xgetbv:       func() uint64 { return r.xcr0 },
		requestTiles: func() error { *requests++; return permission },
	}
}

// probe runs the real probe, or what it can where only flags were recorded, and counts the requests for
// tiles.
func (r recorded) probe(permission error) (levels []Level, features Feature, why [levelCount]string, requests int) {
	if len(r.pages) == 0 {
		levels, features, why = level(r.flags, r.xcr0, permission)
		return levels, features, why, 0
	}
	levels, features, why = r.processor(permission, &requests).probe()
	return levels, features, why, requests
}

func TestRecordedProcessors(t *testing.T) {
	tested := map[string]bool{}
	denied := errors.New("operation not permitted")
	for _, test := range []struct {
		processor  string
		change     func(*recorded)
		permission error
		levels     string // best first, generic left out
		features   Feature
		why        map[Level]string // some of the reasons, in part
	}{
		{processor: "Haswell: Intel Core i7-4770", levels: "avx2", why: map[Level]string{
			AVXVNNI: "the CPU lacks avx_vnni", AVX512VNNI: "the CPU lacks avx512_vnni",
			AVX512: "the CPU lacks avx512f, avx512bw, avx512dq, avx512vl, avx512cd",
			AMX:    "the CPU lacks avx512vbmi, amx_tile, amx_int8",
		}},
		{processor: "Skylake client: Intel Core i7-6700K", levels: "avx2"},
		{processor: "Skylake-X: Intel Core i9-7900X", levels: "avx512 avx2", why: map[Level]string{
			AVX512VNNI: "the CPU lacks avx512_vnni", AVXVNNI: "the CPU lacks avx_vnni"}},
		{processor: "Cascade Lake: Intel Xeon Platinum 8280", levels: "avx512-vnni avx512 avx2"},
		{processor: "Ice Lake: Intel Xeon D-1718T under Hyper-V", levels: "avx512-vnni avx512 avx2", features: VBMI | VPOPCNTDQ},
		{processor: "Alder Lake: Intel Core i5-12500", levels: "avx-vnni avx2", why: map[Level]string{
			AVX512: "the CPU lacks avx512f", AVX512VNNI: "the CPU lacks avx512_vnni"}},
		{processor: "Sapphire Rapids: Intel Xeon w7-2475X",
			levels: "amx avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16 | AMXBF16},
		{processor: "Granite Rapids: Intel Xeon 6972P",
			levels: "amx avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16 | AMXBF16},
		{processor: "Zen 2: AMD Ryzen 9 3900X", levels: "avx2"},
		{processor: "Zen 3: AMD Ryzen 9 5950X", levels: "avx2"},
		{processor: "Zen 4: AMD Ryzen 7 7700X", levels: "avx512-vnni avx512 avx2", features: VBMI | VPOPCNTDQ | BF16},
		{processor: "Zen 5: AMD Ryzen 9 9950X",
			levels: "avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16, why: map[Level]string{
				AMX: "the CPU lacks amx_tile, amx_int8"}},
		{processor: "VM without AVX: QEMU Virtual CPU version 2.5+", why: map[Level]string{
			AVX2: "the CPU lacks popcnt, fma, f16c, avx, bmi1, avx2, bmi2"}},
		{processor: "VM with AVX2 alone: QEMU Virtual CPU version 2.5+", why: map[Level]string{
			AVX2: "the CPU lacks popcnt, fma, f16c, bmi1, bmi2"}},

		// The same processors under less willing operating systems and hypervisors.
		{processor: "Sapphire Rapids: Intel Xeon w7-2475X", permission: denied,
			levels: "avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16, why: map[Level]string{
				AMX: "the kernel denied the use of tiles: operation not permitted"}},
		{processor: "Sapphire Rapids: Intel Xeon w7-2475X", change: func(r *recorded) { r.xcr0 &^= uint64(tiles) },
			levels: "avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16, why: map[Level]string{
				AMX: "has not enabled the tile registers (XCR0 is 0x2e7)"}},
		{processor: "Sapphire Rapids: Intel Xeon w7-2475X", change: func(r *recorded) { r.xcr0 &^= 1 << 18 },
			levels: "avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16, why: map[Level]string{
				AMX: "has not enabled the tile registers (XCR0 is 0x202e7)"}},
		{processor: "Sapphire Rapids: Intel Xeon w7-2475X", change: func(r *recorded) { r.xcr0 = 7 },
			levels: "avx-vnni avx2", why: map[Level]string{
				AVX512:     "has not enabled the ZMM registers (XCR0 is 0x7)",
				AVX512VNNI: "has not enabled the ZMM registers", AMX: "has not enabled the ZMM registers"}},
		{processor: "Zen 5: AMD Ryzen 9 9950X", change: func(r *recorded) { r.xcr0 &^= 1 << 5 },
			levels: "avx-vnni avx2", why: map[Level]string{AVX512: "has not enabled the ZMM registers (XCR0 is 0x2c7)"}},
		{processor: "Haswell: Intel Core i7-4770", change: func(r *recorded) { r.xcr0 = 3 },
			why: map[Level]string{AVX2: "has not enabled the YMM registers (XCR0 is 0x3)", AVX512: "the CPU lacks avx512f"}},
		// XGETBV may not be executed if OSXSAVE is not set, whatever it would say.
		{processor: "Haswell: Intel Core i7-4770", change: func(r *recorded) { r.clear(1, 0, ecx, 27) },
			why: map[Level]string{AVX2: "has not enabled the YMM registers (XCR0 is 0x0)"}},
		// A hypervisor that takes single instructions away.
		{processor: "Zen 5: AMD Ryzen 9 9950X", change: func(r *recorded) { r.clear(7, 0, ebx, 31) },
			levels: "avx-vnni avx2", why: map[Level]string{
				AVX512: "the CPU lacks avx512vl", AVX512VNNI: "the CPU lacks avx512vl"}},
		{processor: "Zen 5: AMD Ryzen 9 9950X", change: func(r *recorded) { r.clear(7, 0, ecx, 1) },
			levels: "avx512-vnni avx512 avx-vnni avx2", features: VPOPCNTDQ | BF16},
		{processor: "Sapphire Rapids: Intel Xeon w7-2475X", change: func(r *recorded) { r.clear(7, 0, edx, 22) },
			levels: "amx avx512-vnni avx512 avx-vnni avx2", features: VBMI | VPOPCNTDQ | BF16},
		// One that hides the leaves of extended features by their number.
		{processor: "Zen 5: AMD Ryzen 9 9950X", change: func(r *recorded) { r.clear(7, 0, eax, 0) },
			levels: "avx512-vnni avx512 avx2", features: VBMI | VPOPCNTDQ, why: map[Level]string{AVXVNNI: "the CPU lacks avx_vnni"}},
		{processor: "Haswell: Intel Core i7-4770", change: func(r *recorded) {
			r.pages[[2]uint32{}] = [4]uint32{1}
			one := r.pages[[2]uint32{1, 0}]
			one[ebx] = ^uint32(0) // what leaf 7 must not be taken from
			r.pages[[2]uint32{1, 0}] = one
		},
			why: map[Level]string{AVX2: "the CPU lacks bmi1, avx2, bmi2"}},
	} {
		r, ok := processors(t)[test.processor]
		if !ok {
			t.Fatalf("testdata has no %s", test.processor)
		}
		tested[test.processor] = true
		if test.change != nil {
			test.change(&r)
		}
		levels, features, why, requests := r.probe(test.permission)
		if got, want := names(levels), strings.TrimSpace(test.levels+" generic"); got != want {
			t.Errorf("%s: levels %s, want %s", test.processor, got, want)
		}
		if features != test.features {
			t.Errorf("%s: features %v, want %v", test.processor, features, test.features)
		}
		for l, reason := range why {
			if (reason == "") != slices.Contains(levels, Level(l)) {
				t.Errorf("%s: %v with the reason %q, though levels are %v", test.processor, Level(l), reason, levels)
			}
		}
		for l, want := range test.why {
			if !strings.Contains(why[l], want) {
				t.Errorf("%s: no %v because %q, want %q", test.processor, l, why[l], want)
			}
		}
		// Tiles are asked for once where all else is there, and never elsewhere.
		wanted := 0
		if len(r.pages) > 0 && (why[AMX] == "" || test.permission != nil) {
			wanted = 1
		}
		if requests != wanted {
			t.Errorf("%s: tiles were requested %d times, want %d", test.processor, requests, wanted)
		}
	}
	for name := range processors(t) {
		if !tested[name] {
			t.Errorf("%s is recorded and not tested", name)
		}
	}
}

// Each instruction set hangs on the bit that Intel's manual gives (Software Developer's Manual, volume 2A,
// CPUID), written down here a second time: with the bit cleared, it alone is missing.
func TestBits(t *testing.T) {
	const sapphireRapids = "Sapphire Rapids: Intel Xeon w7-2475X"
	type bit struct {
		leaf, sub     uint32
		register, bit int
	}
	manual := map[instructions]bit{
		fma: {1, 0, ecx, 12}, popcnt: {1, 0, ecx, 23}, osxsave: {1, 0, ecx, 27}, avx: {1, 0, ecx, 28}, f16c: {1, 0, ecx, 29},
		bmi1: {7, 0, ebx, 3}, avx2: {7, 0, ebx, 5}, bmi2: {7, 0, ebx, 8},
		avx512f: {7, 0, ebx, 16}, avx512dq: {7, 0, ebx, 17}, avx512cd: {7, 0, ebx, 28}, avx512bw: {7, 0, ebx, 30}, avx512vl: {7, 0, ebx, 31},
		avx512VBMI: {7, 0, ecx, 1}, avx512VNNI: {7, 0, ecx, 11}, avx512VPOPCNTDQ: {7, 0, ecx, 14},
		amxBF16: {7, 0, edx, 22}, amxTile: {7, 0, edx, 24}, amxInt8: {7, 0, edx, 25},
		avxVNNI: {7, 1, eax, 4}, avx512BF16: {7, 1, eax, 5},
	}
	if len(manual) != len(cpuidBits) {
		t.Errorf("%d of %d bits are looked up", len(manual), len(cpuidBits))
	}
	all := processors(t)[sapphireRapids].processor(nil, nil).instructions()
	for set, b := range manual {
		r := processors(t)[sapphireRapids]
		r.clear(b.leaf, b.sub, b.register, b.bit)
		if got := r.processor(nil, nil).instructions(); got != all&^set {
			t.Errorf("without the bit of %v, %v are missing", set, all&^got)
		}
	}
}

// clear takes one bit of CPUID away.
func (r *recorded) clear(leaf, sub uint32, register, bit int) {
	regs := r.pages[[2]uint32{leaf, sub}]
	if regs[register]>>bit&1 == 0 {
		panic("the bit to be cleared is not set")
	}
	regs[register] &^= 1 << bit
	r.pages[[2]uint32{leaf, sub}] = regs
}

func names(levels []Level) string {
	var names []string
	for _, l := range levels {
		names = append(names, l.String())
	}
	return strings.Join(names, " ")
}
