package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// axpy writes y += alpha*x, products rounded before they are added.
func axpy(c *build.Context) {
	masks := tailMasks(c, "axpy")
	for _, level := range []string{"AVX512", "AVX2"} {
		v := vectors{c, level, masks}
		function(c, "axpyF32"+level, "func(alpha float32, x, y *float32, n int)")
		alpha, x, y, n := v.broadcast("alpha"), v.pointer("x", 4), v.pointer("y", 4), v.count()
		v.each(n, []pointer{x, y}, func(i int, mask reg.Register) {
			product, sum := v.vector(), v.vector()
			v.load(v.at(x, i), mask, product)
			v.VMULPS(product, alpha, product)
			v.load(v.at(y, i), mask, sum)
			v.VADDPS(product, sum, sum)
			v.store(sum, mask, v.at(y, i))
		})
		v.end()
	}
}
