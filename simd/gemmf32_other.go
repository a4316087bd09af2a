//go:build !amd64 || noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

func tilePanelsF32(cpu.Level) int { return 1 }

func tileRowsF32(_ cpu.Level, left int) int { return min(left, genericRowsF32) }

func runTileF32(_ cpu.Level, t *tileF32, rows, _ int) { tileF32Generic(t, rows) }
