package main

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maida-ai/gomai/internal/cpu"
)

func doctor(t *testing.T) doctorRecord {
	t.Helper()
	r := run(t, "", "doctor", "--json")
	r.expect(t, 0)
	r.silent(t)
	got := records[doctorRecord](t, r)
	if len(got) != 1 {
		t.Fatalf("%d lines of JSON", len(got))
	}
	return got[0]
}

// What doctor says fits together, and agrees with what this process, in the same environment, finds.
func TestDoctor(t *testing.T) {
	d := doctor(t)
	level, err := cpu.Detect()
	if err != nil {
		t.Fatal(err)
	}
	if d.Level != level.String() || d.MaiCPU != os.Getenv("MAI_CPU") {
		t.Errorf("level %s with MAI_CPU=%q, want %v", d.Level, d.MaiCPU, level)
	}
	if d.Host.OS != runtime.GOOS || d.Host.Arch != runtime.GOARCH || d.CPU.LogicalCores != runtime.NumCPU() {
		t.Errorf("%+v", d)
	}
	usable := checkLevels(t, d)
	if len(d.Features) != len(cpu.Features) {
		t.Fatalf("features %+v", d.Features)
	}
	for i, f := range cpu.Features {
		if want := (featureFacts{f.String(), cpu.Available()&f != 0}); d.Features[i] != want {
			t.Errorf("feature %+v, want %+v", d.Features[i], want)
		}
	}
	var names []string
	for _, p := range d.Primitives {
		names = append(names, p.Name)
		if !slices.Contains(usable, p.Level) {
			t.Errorf("%s runs at %s, usable are %v", p.Name, p.Level, usable)
		}
	}
	if !slices.IsSorted(names) || !slices.Contains(names, "DotF32") || len(names) != len(cpu.Primitives()) {
		t.Errorf("primitives %v", names)
	}

	text := run(t, "", "doctor")
	text.expect(t, 0)
	text.silent(t)
	var lines []string
	for line := range strings.Lines(text.stdout) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{d.Level + " runs", "clock source " + d.Host.ClockSource}
	for _, p := range d.Primitives {
		want = append(want, p.Name+" "+p.String())
	}
	for _, w := range want {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, w) }) {
			t.Errorf("no line begins with %q:\n%s", w, text.stdout)
		}
	}
}

// checkLevels checks the table of levels and the reasons, and returns the levels that are usable.
func checkLevels(t *testing.T, d doctorRecord) (usable []string) {
	t.Helper()
	var all []string
	for _, l := range d.Levels {
		all = append(all, l.Level)
		if l.Usable {
			usable = append(usable, l.Level)
		}
		if l.Usable != (l.Reason == "") {
			t.Errorf("level %+v", l)
		}
	}
	if got := strings.Join(all, " "); got != "amx avx512-vnni avx512 avx-vnni avx2 generic" {
		t.Errorf("levels %s", got)
	}
	if len(usable) == 0 || usable[0] != d.Level || usable[len(usable)-1] != "generic" {
		t.Errorf("%s runs, usable are %v", d.Level, usable)
	}
	for _, p := range d.Primitives {
		for _, b := range p.Better {
			if b.Reason == "" || slices.Index(all, b.Level) > slices.Index(all, p.Level) {
				t.Errorf("%s runs at %s, better is %+v", p.Name, p.Level, b)
			}
		}
	}
	return usable
}

func TestDoctorLowered(t *testing.T) {
	for _, level := range cpu.Levels() {
		t.Setenv("MAI_CPU", level.String())
		d := doctor(t)
		if d.Level != level.String() || d.MaiCPU != level.String() {
			t.Errorf("MAI_CPU=%v: level %s, MAI_CPU %q", level, d.Level, d.MaiCPU)
		}
		checkLevels(t, d)
		for _, above := range cpu.Levels() {
			i := slices.IndexFunc(d.Levels, func(l levelFacts) bool { return l.Level == above.String() })
			want := ""
			if above > level {
				want = "lowered by MAI_CPU=" + level.String()
			}
			if d.Levels[i].Reason != want {
				t.Errorf("MAI_CPU=%v: no %v because %q, want %q", level, above, d.Levels[i].Reason, want)
			}
		}
	}
}

func TestDoctorUsage(t *testing.T) {
	run(t, "", "doctor", "x").expect(t, exitUsage, "x")
	t.Setenv("MAI_CPU", "avx9")
	run(t, "", "doctor").expect(t, exitUsage, "MAI_CPU=avx9: there is no such level; this machine has", "generic")
	if has := cpu.Levels(); has[0] != cpu.AMX {
		t.Setenv("MAI_CPU", "amx")
		run(t, "", "doctor").expect(t, exitUsage, "MAI_CPU=amx: "+cpu.Why(cpu.AMX))
	}
}

// Where nothing can be read, everything is unknown and nothing is an error.
func TestDoctorKnowsNothing(t *testing.T) {
	s := system{fstest.MapFS{}}
	r, err := examine(s)
	if err != nil {
		t.Fatal(err)
	}
	r.CPU = s.cpu(cpu.Description{})
	h := r.Host
	if h.Kernel != "unknown" || h.ClockSource != "unknown" || h.TransparentHP != "unknown" || r.CPU.Brand != "unknown" || r.CPU.Vendor != "unknown" {
		t.Errorf("%+v", r)
	}
	if h.CPULimit != nil || h.Memory != nil || h.MemoryLimit != nil || h.HugePages != nil || h.HugePagesFree != nil || h.HugePageMemory != nil {
		t.Errorf("%+v", h)
	}
	if c := r.CPU; c.Family != nil || c.Model != nil || c.Stepping != nil || c.PhysicalCores != nil || c.L1D != nil || c.L1I != nil || c.L2 != nil || c.L3 != nil {
		t.Errorf("%+v", c)
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`CPU            unknown (unknown, family unknown, model unknown, stepping unknown)
cores          unknown physical, %d logical for this process
caches         L1d unknown, L1i unknown, L2 unknown, L3 unknown
CPU limit      unknown, GOMAXPROCS %d
memory         unknown, limit unknown
huge pages     transparent: unknown; reserved: unknown of unknown, unknown free
clock source   unknown
`, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestDoctorText(t *testing.T) {
	n, bytes, cpus, none := 2, int64(25276518400), 1.5, int64(0)
	l1, l2, l3, page := 49152, 1310720, 32<<20, int64(2<<20)
	r := doctorRecord{
		CPU: cpuFacts{
			Brand: "Brand", Vendor: "Vendor", Family: &n, Model: &n, Stepping: &n, Hypervisor: "KVM",
			PhysicalCores: &n, LogicalCores: 4, L1D: &l1, L1I: &l1, L2: &l2, L3: &l3,
		},
		Level: "avx512",
		Levels: []levelFacts{
			{"amx", false, "the CPU lacks amx_tile"}, {"avx512", true, ""}, {"avx2", true, ""}, {"generic", true, ""},
		},
		Features: []featureFacts{{"avx512vbmi", true}, {"amx_bf16", false}, {"avx512_bf16", true}},
		Primitives: []primitiveFacts{
			{"A", variantFacts{Level: "avx512"}, nil},
			{"B", variantFacts{Level: "avx512", Needs: []string{"avx512vbmi"}}, []betterFacts{
				{variantFacts{Level: "amx", Needs: []string{"amx_bf16"}}, "one"},
				{variantFacts{Level: "amx"}, "one"},
				{variantFacts{Level: "avx512-vnni"}, "two"},
			}},
		},
		Host: hostFacts{
			OS: "linux", Arch: "amd64", Kernel: "6.1", ClockSource: "tsc", GOMAXPROCS: 2, CPULimit: &cpus,
			Memory: &bytes, MemoryLimit: &none, TransparentHP: "madvise", HugePages: &none, HugePagesFree: &none, HugePageMemory: &page,
		},
	}
	const want = `CPU            Brand (Vendor, family 2, model 2, stepping 2), hypervisor KVM
cores          2 physical, 4 logical for this process
caches         L1d 48 KiB, L1i 48 KiB, L2 1.2 MiB, L3 32 MiB
CPU limit      1.5, GOMAXPROCS 2
memory         23.5 GiB, limit none
huge pages     transparent: madvise; reserved: 0 of 2 MiB, 0 free
clock source   tsc
kernel         linux/amd64 6.1
MAI_CPU        not set

level      state
amx        no: the CPU lacks amx_tile
avx512     runs
avx2       usable
generic    usable
features   avx512vbmi, avx512_bf16

primitive   runs at             better, but not used
A           avx512
B           avx512+avx512vbmi   amx+amx_bf16, amx: one; avx512-vnni: two
`
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestVariantFacts(t *testing.T) {
	for v, want := range map[cpu.Variant]string{
		{}:                  "generic",
		{Level: cpu.AVX512}: "avx512",
		{Level: cpu.AVX512, Needs: cpu.BF16 | cpu.VBMI}: "avx512+avx512vbmi+avx512_bf16",
		{Level: cpu.AMX, Needs: cpu.AMXBF16}:            "amx+amx_bf16",
	} {
		if got := variant(v).String(); got != want {
			t.Errorf("%v is shown as %s, want %s", v, got, want)
		}
	}
}

// files makes a file system of names and contents.
func files(all map[string]string) fs.FS {
	fsys := fstest.MapFS{}
	for name, text := range all {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}
