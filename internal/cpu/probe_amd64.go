//go:build amd64 && !noasm

package cpu

func probe() (levels []Level, features Feature, why [levelCount]string) {
	return processor{
		cpuid: func(leaf, sub uint32) [4]uint32 {
			a, b, c, d := readCPUID(leaf, sub)
			return [4]uint32{a, b, c, d}
		},
		xgetbv: func() uint64 {
			low, high := readXCR0()
			return uint64(high)<<32 | uint64(low)
		},
		requestTiles: requestTiles,
	}.probe()
}

// readCPUID executes CPUID.
func readCPUID(leaf, sub uint32) (a, b, c, d uint32)

// readXCR0 executes XGETBV, which says what registers the operating system saves.
func readXCR0() (low, high uint32)
