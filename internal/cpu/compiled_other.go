//go:build !amd64 || noasm

package cpu

// compiled says whether this build holds assembly.
const compiled = false
