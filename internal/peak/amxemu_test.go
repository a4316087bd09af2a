//go:build amxemu && linux && amd64 && !noasm

package peak

import (
	"testing"

	"github.com/maida-ai/gomai/internal/amxemu"
	"github.com/maida-ai/gomai/internal/cpu"
)

// The loops on tiles run, and do the operations that they say.
func TestTileLoops(t *testing.T) {
	if err := amxemu.Install(); err != nil {
		t.Fatal(err)
	}
	for operations, loop := range map[int]Loop{2 * 16 * 16 * 64: loopsI8[cpu.AMX], 2 * 16 * 16 * 32: loopsBF16[cpu.AMX]} {
		before := amxemu.Products()
		loop.run(&someNumbers()[0], 10*tileShare)
		if n := int(amxemu.Products()-before) * operations; n != 10*tileShare*loop.operations {
			t.Errorf("%s: %d operations, want %d", loop.Instructions, n, 10*tileShare*loop.operations)
		}
	}
}
