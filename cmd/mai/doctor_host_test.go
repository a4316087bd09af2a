package main

import (
	"maps"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

const (
	mountV2     = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountCPU    = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:11 - cgroup cgroup rw,cpu,cpuacct\n"
	mountMemory = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	mountSets   = "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
	mountRoot   = "23 1 259:1 / / rw - ext4 /dev/root rw\n"
)

func TestLimits(t *testing.T) {
	const none = "9223372036854771712\n" // how version 1 words it
	for _, test := range []struct {
		name         string
		files        map[string]string
		cpus, memory string
	}{
		{"nothing", nil, "unknown", "unknown"},
		{"version 2, in a container's own namespace", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountRoot + mountV2,
			"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": "536870912\n",
		}, "1.5", "536870912"},
		{"version 2, the root of the machine, which has no such files", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountRoot + mountV2,
		}, "unknown", "unknown"},
		{"version 2, no limits", map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.scope\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a.slice/b.scope/cpu.max": "max 100000\n", "sys/fs/cgroup/a.slice/b.scope/memory.max": "max\n",
		}, "0", "0"},
		{"version 2, the limit is two groups up", map[string]string{
			"proc/self/cgroup": "0::/pod/box/worker\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/pod/cpu.max": "50000 100000\n", "sys/fs/cgroup/pod/memory.max": "1000\n",
			"sys/fs/cgroup/pod/box/cpu.max": "400000 100000\n", "sys/fs/cgroup/pod/box/memory.max": "max\n",
			"sys/fs/cgroup/pod/box/worker/cpu.max": "max 100000\n", "sys/fs/cgroup/pod/box/worker/memory.max": "2000\n",
			"sys/fs/cgroup/other/cpu.max": "10000 100000\n", "sys/fs/cgroup/other/memory.max": "1\n",
		}, "0.5", "1000"},
		{"version 1", map[string]string{
			"proc/self/cgroup":                                         "5:memory:/box\n4:cpuset:/elsewhere\n3:cpu,cpuacct:/box\n1:name=systemd:/box\n0::/box\n",
			"proc/self/mountinfo":                                      mountSets + mountCPU + mountMemory,
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us":           "200000\n",
			"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us":          "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":               "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":              "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/elsewhere/cpu.cfs_quota_us":     "1000\n", // of another hierarchy's group
			"sys/fs/cgroup/cpu,cpuacct/elsewhere/cpu.cfs_period_us":    "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":               none,
			"sys/fs/cgroup/memory/box/memory.limit_in_bytes":           "4096\n",
			"sys/fs/cgroup/memory/box/unrelated/memory.limit_in_bytes": "1\n",
		}, "2", "4096"},
		{"version 1, no limits", map[string]string{
			"proc/self/cgroup":                            "5:memory:/\n3:cpu,cpuacct:/\n",
			"proc/self/mountinfo":                         mountCPU + mountMemory,
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":  none,
		}, "0", "0"},
		// The container sees its own group mounted, but /proc/self/cgroup has the path on the machine.
		{"version 1, in a container", map[string]string{
			"proc/self/cgroup": "5:memory:/docker/4f/app\n3:cpu,cpuacct:/docker/4f/app\n",
			"proc/self/mountinfo": "32 31 0:29 /docker/4f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n" +
				"35 31 0:32 /docker/4f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":             "300000\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":            "100000\n",
			"sys/fs/cgroup/memory/app/memory.limit_in_bytes": "8192\n",
		}, "3", "8192"},
		{"version 1, mounted from another group", map[string]string{
			"proc/self/cgroup":                           "5:memory:/somewhere/else\n",
			"proc/self/mountinfo":                        "35 31 0:32 /docker/4f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "8192\n",
		}, "unknown", "8192"},
		{"both, the controllers in version 1", map[string]string{
			"proc/self/cgroup":                            "5:memory:/\n3:cpu,cpuacct:/\n0::/\n",
			"proc/self/mountinfo":                         "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" + mountCPU + mountMemory,
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":  "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":  none,
		}, "1", "0"},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "\n:\nx\n0::\n", "proc/self/mountinfo": "- - -\n" + mountV2,
			"sys/fs/cgroup/cpu.max": "many 0\n", "sys/fs/cgroup/memory.max": "-5\n",
		}, "unknown", "unknown"},
		{"no period", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/cpu.max": "100000 0\n",
		}, "unknown", "unknown"},
	} {
		s := system{files(test.files)}
		if got := number(s.cpuLimit()); got != test.cpus {
			t.Errorf("%s: CPU limit %s, want %s", test.name, got, test.cpus)
		}
		if got := number(s.memoryLimit()); got != test.memory {
			t.Errorf("%s: memory limit %s, want %s", test.name, got, test.memory)
		}
	}
}

func TestHostFacts(t *testing.T) {
	var h hostFacts
	system{files(map[string]string{
		"proc/sys/kernel/osrelease": "6.1.0-9-amd64\n",
		"proc/meminfo":              "MemTotal:       1024 kB\nMemFree: 1 kB\nHugePages_Total:      12\nHugePages_Free:       3\nHugepagesize:       2048 kB\n",
		"sys/devices/system/clocksource/clocksource0/current_clocksource":   "kvm-clock\n",
		"sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc kvm-clock\n",
		"sys/kernel/mm/transparent_hugepage/enabled":                        "[always] madvise never\n",
	})}.facts(&h)
	if h.Kernel != "6.1.0-9-amd64" || h.ClockSource != "kvm-clock" || h.TransparentHP != "always" {
		t.Errorf("%+v", h)
	}
	for name, pair := range map[string][2]string{
		"memory": {number(h.Memory), "1048576"}, "huge pages": {number(h.HugePages), "12"},
		"free": {number(h.HugePagesFree), "3"}, "size": {number(h.HugePageMemory), "2097152"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %s, want %s", name, pair[0], pair[1])
		}
	}
}

func TestProcessorFacts(t *testing.T) {
	const index = "sys/devices/system/cpu/cpu0/cache/index"
	all := map[string]string{
		index + "0/level": "1\n", index + "0/type": "Data\n", index + "0/size": "48K\n",
		index + "1/level": "1\n", index + "1/type": "Instruction\n", index + "1/size": "32K\n",
		index + "2/level": "2\n", index + "2/type": "Unified\n", index + "2/size": "2048K\n",
		"sys/devices/system/cpu/cpu0/cache/uevent": "\n",
	}
	// Two packages of two cores with two threads each.
	for _, pkg := range []string{"0", "1"} {
		for _, core := range []string{"0", "0", "1", "1"} {
			all["proc/cpuinfo"] += "processor\t: 0\nmodel name\t: The Kernel's Name\nphysical id\t: " + pkg + "\ncore id\t\t: " + core + "\n\n"
		}
	}
	said := cpu.Description{Brand: "Its Own Name", Vendor: "Vendor", Family: 6, Stepping: 3, PhysicalCores: 2, L1D: 1, L1I: 1, L2: 1, L3: 7 << 20}
	c := system{files(all)}.cpu(said)
	if c.Brand != "Its Own Name" || c.Vendor != "Vendor" || *c.Family != 6 || *c.Model != 0 || *c.Stepping != 3 || *c.PhysicalCores != 4 {
		t.Errorf("%+v", c)
	}
	got := map[string]int{"L1d": *c.L1D, "L1i": *c.L1I, "L2": *c.L2, "L3": *c.L3}
	if want := map[string]int{"L1d": 48 << 10, "L1i": 32 << 10, "L2": 2 << 20, "L3": 7 << 20}; !maps.Equal(got, want) {
		t.Errorf("caches %v, want %v", got, want)
	}
	if c := (system{files(all)}).cpu(cpu.Description{}); c.Brand != "The Kernel's Name" || c.Family != nil || c.L3 != nil {
		t.Errorf("%+v", c)
	}
}
