package cpu

import (
	"fmt"
	"strings"
)

// instructions are instruction sets that a processor says it has, whether or not the operating system
// lets programs use their registers.
type instructions uint32

const (
	osxsave instructions = 1 << iota // XGETBV can be executed
	popcnt
	fma
	f16c
	avx
	bmi1
	avx2
	bmi2
	avxVNNI
	avx512f
	avx512bw
	avx512dq
	avx512vl
	avx512cd
	avx512VNNI
	avx512VBMI
	avx512VPOPCNTDQ
	avx512BF16
	amxTile
	amxInt8
	amxBF16
)

// The registers of CPUID, in its order.
const (
	eax = iota
	ebx
	ecx
	edx
)

// cpuidBits says where CPUID tells of each instruction set, and how /proc/cpuinfo and messages call it.
var cpuidBits = [...]struct {
	set       instructions
	name      string
	leaf, sub uint32
	register  int
	bit       int
}{
	{osxsave, "osxsave", 1, 0, ecx, 27},
	{popcnt, "popcnt", 1, 0, ecx, 23},
	{fma, "fma", 1, 0, ecx, 12},
	{f16c, "f16c", 1, 0, ecx, 29},
	{avx, "avx", 1, 0, ecx, 28},
	{bmi1, "bmi1", 7, 0, ebx, 3},
	{avx2, "avx2", 7, 0, ebx, 5},
	{bmi2, "bmi2", 7, 0, ebx, 8},
	{avxVNNI, "avx_vnni", 7, 1, eax, 4},
	{avx512f, "avx512f", 7, 0, ebx, 16},
	{avx512bw, "avx512bw", 7, 0, ebx, 30},
	{avx512dq, "avx512dq", 7, 0, ebx, 17},
	{avx512vl, "avx512vl", 7, 0, ebx, 31},
	{avx512cd, "avx512cd", 7, 0, ebx, 28},
	{avx512VNNI, "avx512_vnni", 7, 0, ecx, 11},
	{avx512VBMI, "avx512vbmi", 7, 0, ecx, 1},
	{avx512VPOPCNTDQ, "avx512_vpopcntdq", 7, 0, ecx, 14},
	{avx512BF16, "avx512_bf16", 7, 1, eax, 5},
	{amxTile, "amx_tile", 7, 0, edx, 24},
	{amxInt8, "amx_int8", 7, 0, edx, 25},
	{amxBF16, "amx_bf16", 7, 0, edx, 22},
}

func (has instructions) String() string {
	var names []string
	for _, b := range cpuidBits {
		if has&b.set != 0 {
			names = append(names, b.name)
		}
	}
	return strings.Join(names, ", ")
}

// registers are sets of registers that XCR0 must enable before a program may use them.
type registers uint64

const (
	ymm   registers = 1<<1 | 1<<2
	zmm   registers = 1<<5 | 1<<6 | 1<<7 // masks, upper halves of ZMM0 to 15, ZMM16 to 31
	tiles registers = 1<<17 | 1<<18
)

func (r registers) String() string {
	switch r {
	case ymm:
		return "the YMM registers"
	case zmm:
		return "the ZMM registers"
	}
	return "the tile registers"
}

// levelNeeds says what a level needs beside what the level needs on which it builds.
var levelNeeds = [levelCount]struct {
	base  Level
	own   instructions
	state registers
}{
	AVX2:       {Generic, avx | avx2 | fma | f16c | bmi1 | bmi2 | popcnt, ymm},
	AVXVNNI:    {AVX2, avxVNNI, 0},
	AVX512:     {AVX2, avx512f | avx512bw | avx512dq | avx512vl | avx512cd, zmm},
	AVX512VNNI: {AVX512, avx512VNNI, 0},
	AMX:        {AVX512VNNI, amxTile | amxInt8 | avx512VBMI, tiles},
}

// featureNeeds says what a feature needs beside the level on which it builds.
var featureNeeds = [...]struct {
	feature Feature
	base    Level
	own     instructions
}{
	{VBMI, AVX512, avx512VBMI},
	{VPOPCNTDQ, AVX512, avx512VPOPCNTDQ},
	{BF16, AVX512, avx512BF16},
	{AMXBF16, AMX, amxBF16},
}

// level returns which levels and features can run on a processor that has these instructions, under an
// operating system that has set XCR0 so and has answered the request for tiles so, and why the other
// levels cannot. It is a pure function: the tests give it other people's processors.
func level(has instructions, xcr0 uint64, permission error) (levels []Level, features Feature, why [levelCount]string) {
	for l := range Level(levelCount) {
		n := levelNeeds[l]
		switch missing := n.own &^ has; {
		case missing != 0:
			why[l] = "the CPU lacks " + missing.String()
		case why[n.base] != "":
			why[l] = why[n.base]
		case registers(xcr0)&n.state != n.state:
			why[l] = fmt.Sprintf("the operating system or the hypervisor has not enabled %v (XCR0 is %#x)", n.state, xcr0)
		case l == AMX && permission != nil:
			why[l] = "the kernel denied the use of tiles: " + permission.Error()
		default:
			levels = append([]Level{l}, levels...)
		}
	}
	for _, n := range featureNeeds {
		if why[n.base] == "" && has&n.own == n.own {
			features |= n.feature
		}
	}
	return levels, features, why
}

// processor is how the probe asks a processor and its operating system.
type processor struct {
	cpuid        func(leaf, sub uint32) [4]uint32
	xgetbv       func() uint64
	requestTiles func() error // once per process
}

// probe asks p once. Tiles are requested only where everything else is there: elsewhere the request
// would cost a system call, and its answer would say nothing.
func (p processor) probe() (levels []Level, features Feature, why [levelCount]string) {
	has := p.instructions()
	var xcr0 uint64
	if has&osxsave != 0 {
		xcr0 = p.xgetbv()
	}
	levels, features, why = level(has, xcr0, nil)
	if why[AMX] == "" {
		if err := p.requestTiles(); err != nil {
			return level(has, xcr0, err)
		}
	}
	return levels, features, why
}

// instructions reads CPUID, each leaf once: in a virtual machine every read is a trip to the hypervisor.
// A leaf that the processor does not have returns another one, so their number is looked at first.
func (p processor) instructions() instructions {
	type page struct{ leaf, sub uint32 }
	pages := map[page][4]uint32{}
	if highest := p.cpuid(0, 0)[eax]; highest >= 1 {
		pages[page{1, 0}] = p.cpuid(1, 0)
		if highest >= 7 {
			pages[page{7, 0}] = p.cpuid(7, 0)
			if pages[page{7, 0}][eax] >= 1 {
				pages[page{7, 1}] = p.cpuid(7, 1)
			}
		}
	}
	var has instructions
	for _, b := range cpuidBits {
		if pages[page{b.leaf, b.sub}][b.register]>>b.bit&1 != 0 {
			has |= b.set
		}
	}
	return has
}
