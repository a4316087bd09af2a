//go:build !amd64 || noasm

package peak

import "github.com/maida-ai/gomai/internal/cpu"

var loopsI8, loopsF32, loopsBF16 map[cpu.Level]Loop
