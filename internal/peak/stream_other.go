//go:build !amd64 || noasm

package peak

func stream(p []byte) { streamGeneric(p) }
