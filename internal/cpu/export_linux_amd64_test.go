//go:build !noasm

package cpu

var RequestTiles = requestTiles
