//go:build noasm

package testmodel

// NoAsm says whether the tag noasm is set.
const NoAsm = true
