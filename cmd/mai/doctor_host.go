package main

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// hostFacts are what the operating system and the container say. A nil number is unknown, and so is the
// string "unknown": none of this is needed to compute, so nothing here is an error.
type hostFacts struct {
	OS             string   `json:"os"`
	Arch           string   `json:"arch"`
	Kernel         string   `json:"kernel"`
	ClockSource    string   `json:"clock_source"`
	GOMAXPROCS     int      `json:"gomaxprocs"`
	CPULimit       *float64 `json:"cpu_limit"`          // of the container, in CPUs; 0 is none
	Memory         *int64   `json:"memory_bytes"`       // of the machine
	MemoryLimit    *int64   `json:"memory_limit_bytes"` // of the container; 0 is none
	TransparentHP  string   `json:"transparent_huge_pages"`
	HugePages      *int64   `json:"huge_pages_reserved"`
	HugePagesFree  *int64   `json:"huge_pages_free"`
	HugePageMemory *int64   `json:"huge_page_bytes"` // of one
}

const notKnown = "unknown"

// system reads the files by which a Linux kernel tells about itself, below the root of fsys.
type system struct{ fsys fs.FS }

// line returns what a file holds without the blanks around it, "" if it cannot be read.
func (s system) line(name string) string {
	text, err := fs.ReadFile(s.fsys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// word is line, but "unknown" instead of nothing.
func (s system) word(name string) string {
	if w := s.line(name); w != "" {
		return w
	}
	return notKnown
}

// facts fills in what the files say.
func (s system) facts(h *hostFacts) {
	h.Kernel = s.word("proc/sys/kernel/osrelease")
	h.ClockSource = s.word("sys/devices/system/clocksource/clocksource0/current_clocksource")
	h.CPULimit = s.cpuLimit()
	h.MemoryLimit = s.memoryLimit()
	h.Memory = s.memory("MemTotal")
	h.HugePages = s.memory("HugePages_Total")
	h.HugePagesFree = s.memory("HugePages_Free")
	h.HugePageMemory = s.memory("Hugepagesize")
	h.TransparentHP = notKnown
	// The file lists all modes and puts the one that holds into brackets.
	if _, rest, ok := strings.Cut(s.line("sys/kernel/mm/transparent_hugepage/enabled"), "["); ok {
		h.TransparentHP, _, _ = strings.Cut(rest, "]")
	}
}

// memory returns a number of /proc/meminfo: bytes, or a count where the file gives no unit.
func (s system) memory(key string) *int64 {
	for line := range strings.Lines(s.line("proc/meminfo")) {
		name, value, _ := strings.Cut(line, ":")
		if name != key {
			continue
		}
		value, kilo := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil
		}
		if kilo {
			n <<= 10
		}
		return &n
	}
	return nil
}

// cpuLimit returns how many CPUs the container may use: the least of the limits of the process's control
// group and of those above it, 0 if there is none, nil if nothing is known.
func (s system) cpuLimit() *float64 {
	return least(s.groups("cpu"), func(dir string) (float64, bool) {
		quota, period, _ := strings.Cut(s.line(path.Join(dir, "cpu.max")), " ")
		if quota == "" { // version 1
			quota, period = s.line(path.Join(dir, "cpu.cfs_quota_us")), s.line(path.Join(dir, "cpu.cfs_period_us"))
		}
		if quota == "max" || quota == "-1" {
			return 0, true
		}
		q, err := strconv.ParseFloat(quota, 64)
		p, err2 := strconv.ParseFloat(period, 64)
		return q / p, err == nil && err2 == nil && q > 0 && p > 0
	})
}

// memoryLimit is cpuLimit for bytes of memory.
func (s system) memoryLimit() *int64 {
	return least(s.groups("memory"), func(dir string) (int64, bool) {
		value := s.line(path.Join(dir, "memory.max"))
		if value == "max" {
			return 0, true
		}
		if value == "" { // version 1
			value = s.line(path.Join(dir, "memory.limit_in_bytes"))
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if n >= 1<<62 { // how version 1 says that there is none
			n = 0
		}
		return n, err == nil && n >= 0
	})
}

// least returns the least limit that the groups have. limit says which one a group has, 0 for none, and
// whether it is known.
func least[N int64 | float64](groups []string, limit func(dir string) (N, bool)) *N {
	var found *N
	for _, dir := range groups {
		if n, known := limit(dir); known && (found == nil || n > 0 && (*found == 0 || n < *found)) {
			found = &n
		}
	}
	return found
}

// groups returns the folders of the control groups that may limit this process by a controller: its own
// and those above it, as far as they are mounted, of version 2 and of version 1.
func (s system) groups(controller string) []string {
	var dirs []string
	for line := range strings.Lines(s.line("proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, group
		if len(fields) < 3 {
			continue
		}
		isV2 := fields[0] == "0" && fields[1] == ""
		if !isV2 && !slices.Contains(strings.Split(fields[1], ","), controller) {
			continue
		}
		root, point, ok := s.mount(isV2, controller)
		if !ok {
			continue
		}
		// Within a container the mount may begin at the container's own group, and then the path of
		// the group begins with it; or it has nothing to do with it, and only the mount's root is there.
		group := strings.TrimPrefix(fields[2], strings.TrimSuffix(root, "/"))
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			dirs = append(dirs, strings.TrimPrefix(path.Join(point, group), "/"))
			if group == "/" {
				break
			}
		}
	}
	return dirs
}

// mount returns where the control groups of a controller are mounted, and which group is mounted there.
func (s system) mount(isV2 bool, controller string) (root, point string, ok bool) {
	for line := range strings.Lines(s.line("proc/self/mountinfo")) {
		// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS TAG... - TYPE SOURCE OPTIONS
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 3 {
			continue
		}
		if isV2 && r[0] == "cgroup2" || !isV2 && r[0] == "cgroup" && slices.Contains(strings.Split(r[2], ","), controller) {
			return l[3], l[4], true
		}
	}
	return "", "", false
}

// caches returns the sizes of the caches of the first CPU in bytes, by level and type ("1Data").
func (s system) caches() map[string]int {
	sizes := map[string]int{}
	dirs, err := fs.Glob(s.fsys, "sys/devices/system/cpu/cpu0/cache/index*")
	if err != nil {
		return sizes
	}
	for _, dir := range dirs {
		size, kilo := strings.CutSuffix(s.line(path.Join(dir, "size")), "K")
		if n, err := strconv.Atoi(size); err == nil {
			if kilo {
				n <<= 10
			}
			sizes[s.line(path.Join(dir, "level"))+s.line(path.Join(dir, "type"))] = n
		}
	}
	return sizes
}

// processors returns what /proc/cpuinfo calls the processor, and how many cores all packages have.
func (s system) processors() (name string, cores int) {
	seen := map[[2]string]bool{}
	var pkg string
	for line := range strings.Lines(s.line("proc/cpuinfo")) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "model name":
			name = value
		case "physical id":
			pkg = value
		case "core id":
			seen[[2]string{pkg, value}] = true
		}
	}
	return name, len(seen)
}
