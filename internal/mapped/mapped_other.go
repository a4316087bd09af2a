//go:build !unix && !windows

package mapped

import (
	"io"
	"os"
	"unsafe"
)

// File reads the first size bytes of f: there is no mapping here, and nothing to give back.
func File(f *os.File, size int64) ([]byte, func() error, error) {
	// As words, so that it begins where the widest number may.
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))), size)
	_, err := io.ReadFull(io.NewSectionReader(f, 0, size), data)
	return data, nil, err
}

// Forget does nothing here: see the file for Unix.
func Forget(part []byte) {}
