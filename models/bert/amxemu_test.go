//go:build amxemu && linux && amd64 && !noasm

package bert

import (
	"github.com/maida-ai/gomai/internal/amxemu"
	"github.com/maida-ai/gomai/internal/cpu"
)

// Under the tag amxemu every test that runs at each level runs on tiles in software as well.
func init() {
	if err := amxemu.Install(); err != nil {
		panic(err)
	}
	cpu.Emulate()
}
