package main

import "github.com/mmcloughlin/avo/build"

// dot writes the dot product and the squared distance of two float32 vectors.
func dot(c *build.Context) {
	masks := tailMasks(c, "dot")
	const signature = "func(a, b *float32, n int) float32"
	reduction{name: "dotF32", signature: signature, term: product, twice: true}.write(c, masks)
	reduction{name: "l2F32", signature: signature, term: squaredDistance, twice: true}.write(c, masks)
}
