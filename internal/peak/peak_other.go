//go:build !amd64 || noasm

package peak

import "github.com/maida-ai/gomai/internal/cpu"

var loopsI8, loopsF32 map[cpu.Level]Loop
