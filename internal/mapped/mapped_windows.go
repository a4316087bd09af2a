package mapped

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// File maps the first size bytes of f, read-only, and returns how to give them back. The mapping outlives
// f. A file that is cut short while it is mapped makes reads of the lost part crash the process.
func File(f *os.File, size int64) ([]byte, func() error, error) {
	if int64(int(size)) != size {
		return nil, nil, windows.ERROR_FILE_TOO_LARGE
	}
	m, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, uint32(size>>32), uint32(size), nil)
	if err != nil {
		return nil, nil, err
	}
	defer windows.CloseHandle(m) // the view keeps the mapping alive
	addr, err := windows.MapViewOfFile(m, windows.FILE_MAP_READ, 0, 0, uintptr(size))
	if err != nil {
		return nil, nil, err
	}
	// The address is not in Go's memory, so it may be made a pointer; the indirection keeps vet from
	// taking it for arithmetic.
	data := unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size)
	return data, func() error { return windows.UnmapViewOfFile(addr) }, nil
}

// Forget does nothing here: see the file for Unix.
func Forget(part []byte) {}
