//go:build !noasm

package cpu

import (
	"os"

	"golang.org/x/sys/unix"
)

// Of arch_prctl(2) and of the kernel's Documentation/arch/x86/xstate.rst.
const (
	archRequestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
	tileData              = 18     // the bit of XCR0
)

// requestTiles asks the kernel to let this process use tiles; without, the first tile instruction is
// answered with SIGILL. The kernel refuses if it is too old, if a filter forbids the call, or if a thread
// has a signal stack on which tiles do not fit. The permission is the process's and lasts until exec.
func requestTiles() error {
	if _, _, err := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archRequestPermission, tileData, 0); err != 0 {
		return os.NewSyscallError("arch_prctl(ARCH_REQ_XCOMP_PERM)", err)
	}
	return nil
}
