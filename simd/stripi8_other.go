//go:build !amd64 || noasm

package simd

import "github.com/maida-ai/gomai/internal/cpu"

func hasStrip(cpu.Level, int, int) bool { return false }

func runStripI8(cpu.Level, outputKind, *stripI8, int, int) {}
