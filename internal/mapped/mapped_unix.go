//go:build unix

package mapped

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File maps the first size bytes of f, read-only, and returns how to give them back. The mapping outlives
// f. A file that is cut short while it is mapped makes reads of the lost part crash the process.
func File(f *os.File, size int64) ([]byte, func() error, error) {
	if int64(int(size)) != size {
		return nil, nil, unix.EFBIG
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// Forget says that the pages inside part, which lies in a mapping, are not needed soon: they leave the
// process, and come back from the file when they are touched. Of other memory nothing must be forgotten.
func Forget(part []byte) {
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	skip := int((page - start%page) % page)
	if n := (len(part) - skip) / int(page) * int(page); n > 0 {
		_ = unix.Madvise(part[skip:skip+n], unix.MADV_DONTNEED)
	}
}
