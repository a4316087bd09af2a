//go:build !race

package testmodel

// Race says whether the race detector is on.
const Race = false
