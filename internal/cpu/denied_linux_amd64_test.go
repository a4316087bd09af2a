//go:build !noasm

package cpu_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/maida-ai/gomai/internal/cpu"
	"github.com/maida-ai/gomai/simd"
)

// A process that is denied the use of tiles, from its first instruction on: the probe asks while packages
// are initialised, so the filter must be there before. This variable says how far we are on the way
// there: the test starts its own binary, which forbids itself the call and then becomes itself again.
const stage = "CPU_TEST_STAGE"

func TestMain(m *testing.M) {
	switch os.Getenv(stage) {
	case "":
		os.Exit(m.Run())
	case "forbid":
		err := forbidTiles()
		if err == nil {
			err = os.Setenv(stage, "denied")
		}
		if err == nil {
			err = unix.Exec("/proc/self/exe", os.Args, os.Environ())
		}
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errNoFilters) {
			os.Exit(noFilters)
		}
		os.Exit(1)
	case "denied":
		if err := json.NewEncoder(os.Stdout).Encode(lookRound()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

var errNoFilters = errors.New("this kernel has no seccomp filters")

const noFilters = 77 // exit code

// forbidTiles makes the kernel answer ARCH_REQ_XCOMP_PERM with EPERM, on this thread and in what it
// executes. The other uses of arch_prctl stay: threads are made with them.
func forbidTiles() error {
	runtime.LockOSThread()
	const archRequestPermission = 0x1023
	const offsetNumber, offsetArch, offsetArgument = 0, 4, 16 // of struct seccomp_data
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unlessEqual := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
	}
	filter := []unix.SockFilter{
		load(offsetArch), unlessEqual(unix.AUDIT_ARCH_X86_64, 5),
		load(offsetNumber), unlessEqual(unix.SYS_ARCH_PRCTL, 3),
		load(offsetArgument), unlessEqual(archRequestPermission, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return errNoFilters
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, err := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	switch err {
	case 0:
		return nil
	case unix.ENOSYS, unix.EINVAL:
		return errNoFilters
	}
	return err
}

// seen is what a process sees of itself.
type seen struct {
	Levels  []cpu.Level
	WhyAMX  string
	Request syscall.Errno // the kernel's answer to one more request for tiles
	Wrong   []string      // what was computed wrongly
}

func lookRound() seen {
	s := seen{Levels: cpu.Levels(), WhyAMX: cpu.Why(cpu.AMX), Wrong: compute()}
	errors.As(cpu.RequestTiles(), &s.Request)
	return s
}

// compute compares primitives with plain loops, on numbers whose sums are exact in any order.
func compute() (wrong []string) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		a, b := make([]float32, n), make([]float32, n)
		ai, bi := make([]int8, n), make([]int8, n)
		var dot, l2, doti int32
		for i := range n {
			x, y := int32(r.IntN(255)-127), int32(r.IntN(255)-127)
			a[i], b[i], ai[i], bi[i] = float32(x), float32(y), int8(x), int8(y)
			dot += x * y
			l2 += (x - y) * (x - y)
			doti += x * y
		}
		for name, pair := range map[string][2]float32{
			"DotF32": {simd.DotF32(a, b), float32(dot)},
			"L2F32":  {simd.L2F32(a, b), float32(l2)},
			"DotI8":  {float32(simd.DotI8(ai, bi)), float32(doti)},
		} {
			if pair[0] != pair[1] {
				wrong = append(wrong, fmt.Sprintf("%s of %d: %v, want %v", name, n, pair[0], pair[1]))
			}
		}
	}
	return append(wrong, multiply(r)...)
}

// multiply compares the products of matrices, which are what tiles are for.
func multiply(r *rand.Rand) (wrong []string) {
	for _, m := range []int{1, 16, 40} {
		const n, k = 33, 100
		a, w := make([]uint8, m*k), make([]int8, n*k)
		af, wf := make([]float32, m*k), make([]float32, n*k)
		for i := range a {
			a[i] = uint8(r.IntN(128))
			af[i] = float32(a[i])
		}
		for i := range w {
			w[i] = int8(r.IntN(255) - 127)
			wf[i] = float32(w[i])
		}
		packedA, packedW := make([]uint8, simd.PackedU8Size(m, k)), make([]int8, simd.PackedI8Size(n, k))
		simd.PackU8(packedA, a, m, k)
		simd.PackI8(packedW, w, n, k)
		got := make([]int32, m*n)
		simd.GemmU8I8(got, packedA, packedW, m, n, k)

		// All of these numbers, and sums below 2^24, are exact in bfloat16 and float32.
		halfA, halfW := make([]simd.BFloat16, m*k), make([]simd.BFloat16, n*k)
		simd.ConvertF32BF16(halfA, af)
		simd.ConvertF32BF16(halfW, wf)
		packedHalfA, packedHalfW := make([]simd.BFloat16, simd.PackedBF16Size(m, k)), make([]simd.BFloat16, simd.PackedBF16Size(n, k))
		simd.PackRowsBF16(packedHalfA, halfA, m, k)
		simd.PackWeightsBF16(packedHalfW, halfW, n, k)
		gotHalf := make([]float32, m*n)
		simd.GemmBF16(gotHalf, packedHalfA, packedHalfW, m, n, k)

		for i := range m {
			for j := range n {
				var want int32
				for l := range k {
					want += int32(a[i*k+l]) * int32(w[j*k+l])
				}
				if g := got[i*n+j]; g != want {
					wrong = append(wrong, fmt.Sprintf("GemmU8I8 of %d rows, %d, %d: %d, want %d", m, i, j, g, want))
				}
				if g := gotHalf[i*n+j]; g != float32(want) {
					wrong = append(wrong, fmt.Sprintf("GemmBF16 of %d rows, %d, %d: %v, want %d", m, i, j, g, want))
				}
			}
		}
	}
	return wrong
}

func TestDeniedPermission(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), stage+"=forbid")
	child.Stderr = os.Stderr
	out, err := child.Output()
	if child.ProcessState != nil && child.ProcessState.ExitCode() == noFilters {
		t.Skip(errNoFilters)
	}
	if err != nil {
		t.Fatal(err)
	}
	var denied seen
	if err := json.Unmarshal(out, &denied); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	here := lookRound()
	if denied.Request != unix.EPERM {
		t.Errorf("the child was not denied tiles: %v", denied.Request)
	}
	if here.Request == unix.EPERM {
		t.Skip("this process is denied tiles as well, so the child shows nothing")
	}
	want := slices.DeleteFunc(slices.Clone(here.Levels), func(l cpu.Level) bool { return l == cpu.AMX })
	if !slices.Equal(denied.Levels, want) {
		t.Errorf("the child has the levels %v, want %v", denied.Levels, want)
	}
	// What the kernel refused is told where it was asked: on processors that have tiles.
	reason := "the CPU lacks"
	if info, err := os.ReadFile("/proc/cpuinfo"); err != nil {
		t.Error(err)
	} else if flags := string(info); strings.Contains(flags, " amx_tile ") && strings.Contains(flags, " amx_int8 ") {
		reason = "denied the use of tiles: arch_prctl(ARCH_REQ_XCOMP_PERM): operation not permitted"
	}
	if !strings.Contains(denied.WhyAMX, reason) {
		t.Errorf("the child has no tiles because %q, want %q", denied.WhyAMX, reason)
	}
	if n := len(denied.Wrong); n > 0 {
		t.Errorf("the child computes %d results wrongly: %s", n, denied.Wrong[0])
	}
	if n := len(here.Wrong); n > 0 {
		t.Errorf("this process computes %d results wrongly: %s", n, here.Wrong[0])
	}
}
