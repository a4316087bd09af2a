//go:build !amd64 || noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

func activations() layoutU8 { return layoutU8{rows: genericRows} }

func tilePanels(cpu.Level) int { return 1 }

func tileRows(cpu.Level, int) int { return genericRows }

func runTileI8(_ cpu.Level, t *tileI8, rows, panels int) { tileI8Generic(t, rows, panels) }

func gemmI8AMX(*gemmI8, *output) {}
