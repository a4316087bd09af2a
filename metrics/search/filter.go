package search

// anyBit says whether one of the n bits from bit at on is set.
func anyBit(set []uint64, at, n int) bool {
	for i := 0; i < n; i += 64 {
		if word64(set, at+i)&lowBits(n-i) != 0 {
			return true
		}
	}
	return false
}

// word64 returns the 64 bits from bit at on; those beyond the end are zero.
func word64(set []uint64, at int) uint64 {
	w, shift := at/64, at%64
	if w >= len(set) {
		return 0
	}
	x := set[w] >> shift
	if w+1 < len(set) { // a shift by 64 leaves nothing
		x |= set[w+1] << (64 - shift)
	}
	return x
}

// lowBits has the lowest n bits set, all for n >= 64.
func lowBits(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}
