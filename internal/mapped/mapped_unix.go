//go:build unix

package mapped

import (
	"os"

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
