//go:build !amd64 || noasm

package simd

func runEpilogue(kind outputKind, t *epilogueTile, columns int) { epilogueGeneric(kind, t, columns) }
