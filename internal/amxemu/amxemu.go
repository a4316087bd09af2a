//go:build amxemu && linux && amd64

// Package amxemu runs AMX's tile instructions in software on processors that lack them, so that the tile
// kernels can be held against plain Go on any machine. An instruction that the processor does not know
// raises SIGILL; the handler decodes it, works on tiles that it keeps for each thread, and steps over
// it. Everything else, AVX-512 included, runs natively. Where real tiles would fault it says why and
// leaves the signal to Go. It serves tests alone: it is built under the tag amxemu only, needs cgo, and
// says nothing about speed, since an instruction costs about a microsecond.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
package amxemu

// #cgo CFLAGS: -O2
// #cgo LDFLAGS: -lm
// #include "tiles.h"
// int install(void);
// uint64_t total_products(void);
import "C"

import (
	"fmt"
	"unsafe"
)

// Install puts the handler in place, for good. A processor that has tiles keeps running them itself
// once the process has permission for them.
func Install() error {
	if C.install() != 0 {
		return fmt.Errorf("amxemu: no handler for SIGILL can be installed")
	}
	return nil
}

// Products returns how many matrix products (TDPBUSD and its siblings) were computed in software.
func Products() uint64 { return uint64(C.total_products()) }

// thread is what the emulator keeps for a thread.
type thread struct {
	state    C.struct_tiles
	products C.uint64_t
}

// execute runs the instruction at the start of code and returns its length; 0 with an empty fault means
// that it is no tile instruction.
func (t *thread) execute(code []byte, registers *[16]uint64) (length int, fault string) {
	padded := make([]byte, 16)
	copy(padded, code)
	var why *C.char
	n := C.execute(&t.state, (*C.uint8_t)(unsafe.Pointer(&padded[0])), (*C.uint64_t)(unsafe.Pointer(registers)), &t.products, &why)
	if why != nil {
		fault = C.GoString(why)
	}
	return int(n), fault
}
