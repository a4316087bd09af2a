//go:build !noasm

package quant

import (
	"math/rand/v2"
	"testing"
)

// What takes several calls of assembly, as it does where a row has very many inputs, is the same.
func TestProductsInParts(t *testing.T) {
	defer func(before int) { maxWork = before }(maxWork)
	r := rand.New(rand.NewPCG(11, 12))
	s := productShapes[1]
	for _, blocks := range []int{1, 2, 4, 7} {
		maxWork = blocks * blockRows * lanes * maxPanels * s.Hidden
		(&productCase{shape: s, tokens: []int{37, 50}, layer: randomLayer(r, s), seed: uint64(blocks)}).check(t)
	}
}
