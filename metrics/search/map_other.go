//go:build !unix

package search

import (
	"io"
	"os"
	"unsafe"
)

// mapFile reads f: there is no mapping here.
func mapFile(f *os.File, size int64) ([]byte, func() error, error) {
	// As words, so that it begins where the widest number may.
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))), size)
	_, err := io.ReadFull(io.NewSectionReader(f, 0, size), data)
	return data, nil, err
}
