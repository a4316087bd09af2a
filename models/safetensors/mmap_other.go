//go:build !unix && !windows

package safetensors

import (
	"io"
	"os"
)

// mapFile reads f: there is no mapping here.
func mapFile(f *os.File, size int64) ([]byte, func() error, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, nil, err
}
