//go:build !amd64 || noasm

package cpu

import "runtime"

// probe has nothing to ask: this build holds plain Go alone.
func probe() (levels []Level, features Feature, why [levelCount]string) {
	reason := "this binary was built with the tag noasm"
	if runtime.GOARCH != "amd64" {
		reason = "no assembly is written for " + runtime.GOARCH
	}
	for l := AVX2; l <= AMX; l++ {
		why[l] = reason
	}
	return []Level{Generic}, 0, why
}
