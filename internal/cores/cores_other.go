//go:build !linux

package cores

// Current does not know.
func Current() int { return -1 }

// Avoid does nothing.
func Avoid(int) {}
