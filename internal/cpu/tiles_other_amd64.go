//go:build !linux && !noasm

package cpu

import (
	"errors"
	"runtime"
)

func requestTiles() error {
	return errors.New("they are requested on Linux only, this is " + runtime.GOOS)
}
