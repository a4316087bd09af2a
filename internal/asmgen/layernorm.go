package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// layerNorm writes the two sums of a layer norm and its last step.
func layerNorm(c *build.Context) {
	masks := tailMasks(c, "layerNorm")
	reduction{name: "sumF32", signature: "func(a *float32, n int) float32", one: true}.write(c, masks)
	reduction{
		name: "squaresF32", signature: "func(a *float32, n int, mean float32) float32",
		one: true, scalar: "mean", term: squaredDistance,
	}.write(c, masks)
	for _, level := range []string{"AVX512", "AVX2"} {
		v := vectors{c, level, masks}
		function(c, "normaliseF32"+level, "func(dst, src, gain, bias *float32, n int, mean, inverse float32)")
		dst, src, gain, bias := v.pointer("dst", 4), v.pointer("src", 4), v.pointer("gain", 4), v.pointer("bias", 4)
		n, mean, inverse := v.count(), v.broadcast("mean"), v.broadcast("inverse")
		v.each(n, []pointer{dst, src, gain, bias}, func(i int, mask reg.Register) {
			x, factor, summand := v.vector(), v.vector(), v.vector()
			v.load(v.at(src, i), mask, x)
			v.load(v.at(gain, i), mask, factor)
			v.load(v.at(bias, i), mask, summand)
			v.VSUBPS(mean, x, x)
			v.VMULPS(inverse, x, x)
			v.VMULPS(factor, x, x)
			v.VADDPS(summand, x, x)
			v.store(x, mask, v.at(dst, i))
		})
		v.end()
	}
}
