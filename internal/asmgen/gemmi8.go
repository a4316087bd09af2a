package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmI8 writes the register tiles of the int8 matrix product. Each function computes one tile of int32
// sums for a whole number of unrolled steps of four k; package simd's tileI8 says what it gets.
func gemmI8(c *build.Context) {
	for _, rows := range []int{8, 4} {
		for _, panels := range []int{3, 2, 1} {
			tileI8AVX512VNNI(c, rows, panels)
		}
	}
	for _, rows := range []int{8, 4} {
		for _, panels := range []int{3, 2, 1} {
			tileI8AVX512(c, rows, panels)
		}
	}
	for _, s := range append(shapesAVXVNNI, shape256{2, 1}) {
		tileI8AVXVNNI(c, s)
	}
	for _, s := range append(shapesAVX2, shape256{2, 1}) {
		tileI8AVX2(c, s)
	}
}

// The largest tiles of 256 bits. With AVX-VNNI every sum waits for itself, so that it takes twelve of them
// to keep the multipliers busy: rows that are left are computed for three panels at a time.
var (
	shapesAVXVNNI = []shape256{{6, 1}, {2, 3}}
	shapesAVX2    = []shape256{{6, 1}, {4, 1}}
)

// unrolled is how many steps of four k one turn of a tile's loop takes.
const unrolled = 4

// tileWords are the fields of simd's tileI8, all of eight bytes, in order.
type tileWords struct {
	a, aStep, w, wStep, start, startStep, sums, sumsStep, turns reg.GPVirtual
}

func loadTileWords(c *build.Context) tileWords {
	t := c.Load(c.Param("t"), c.GP64())
	var f tileWords
	for i, r := range []*reg.GPVirtual{&f.a, &f.aStep, &f.w, &f.wStep, &f.start, &f.startStep, &f.sums, &f.sumsStep, &f.turns} {
		*r = c.GP64()
		c.MOVQ(operand.Mem{Base: t, Disp: 8 * i}, *r)
	}
	return f
}

// block returns the address of byte disp of the n-th block of rows.
func (f tileWords) block(n, disp int) operand.Mem { return strided(f.a, f.aStep, n, disp) }

// panel returns the address of byte disp of the n-th panel of columns.
func (f tileWords) panel(n, disp int) operand.Mem { return strided(f.w, f.wStep, n, disp) }

func strided(base, step reg.GPVirtual, n, disp int) operand.Mem {
	if n == 0 {
		return operand.Mem{Base: base, Disp: disp}
	}
	return operand.Mem{Base: base, Index: step, Scale: uint8(n), Disp: disp} // n is 1 or 2
}

// next goes on by one turn of the loop, or leaves it.
func (f tileWords) next(c *build.Context, blockBytes int) {
	c.ADDQ(operand.I32(int32(unrolled*blockBytes)), f.a)
	c.ADDQ(operand.I32(unrolled*64), f.w)
	c.DECQ(f.turns)
	c.JNZ(operand.LabelRef("loop"))
}

func tileI8AVX512VNNI(c *build.Context, rows, panels int) {
	function(c, fmt.Sprintf("tileI8x%dx%dAVX512VNNI", rows, 16*panels), "func(t *[9]uint64)")
	f := loadTileWords(c)
	acc := make([]reg.VecVirtual, rows*panels)
	for r := range rows {
		for j := range panels {
			acc[r*panels+j] = c.ZMM()
			c.VMOVDQU32(operand.Mem{Base: f.start, Disp: 64 * j}, acc[r*panels+j])
		}
		if r+1 < rows {
			c.ADDQ(f.startStep, f.start)
		}
	}
	loopI8AVX512VNNI(c, f, acc, rows, panels)
	for r := range rows {
		for j := range panels {
			c.VMOVDQU32(acc[r*panels+j], operand.Mem{Base: f.sums, Disp: 64 * j})
		}
		if r+1 < rows {
			c.ADDQ(f.sumsStep, f.sums)
		}
	}
	c.VZEROUPPER()
	c.RET()
}

func loopI8AVX512VNNI(c *build.Context, f tileWords, acc []reg.VecVirtual, rows, panels int) {
	var w [3]reg.VecVirtual
	for j := range panels {
		w[j] = c.ZMM()
	}
	x := [4]reg.VecVirtual{c.ZMM(), c.ZMM(), c.ZMM(), c.ZMM()}
	c.Label("loop")
	for u := range unrolled {
		for j := range panels {
			c.VMOVDQU32(f.panel(j, 64*u), w[j])
		}
		for r := range rows {
			c.VPBROADCASTD(f.block(r/4, 16*u+4*(r%4)), x[r%4])
			for j := range panels {
				c.VPDPBUSD(w[j], x[r%4], acc[r*panels+j])
			}
		}
	}
	f.next(c, 16)
}

func tileI8AVX512(c *build.Context, rows, panels int) {
	function(c, fmt.Sprintf("tileI8x%dx%dAVX512", rows, 16*panels), "func(t *[9]uint64)")
	f := loadTileWords(c)
	acc := make([]reg.VecVirtual, rows*panels)
	for r := range rows {
		for j := range panels {
			acc[r*panels+j] = c.ZMM()
			c.VMOVDQU32(operand.Mem{Base: f.start, Disp: 64 * j}, acc[r*panels+j])
		}
		if r+1 < rows {
			c.ADDQ(f.startStep, f.start)
		}
	}
	loopI8AVX512(c, f, acc, rows, panels)
	for r := range rows {
		for j := range panels {
			c.VMOVDQU32(acc[r*panels+j], operand.Mem{Base: f.sums, Disp: 64 * j})
		}
		if r+1 < rows {
			c.ADDQ(f.sumsStep, f.sums)
		}
	}
	c.VZEROUPPER()
	c.RET()
}

// loopI8AVX512 widens both sides to 16 bits, so that nothing saturates: even bytes (k = 0, 2) and odd
// ones (k = 1, 3) of each column's four make two vectors of words for VPMADDWD.
func loopI8AVX512(c *build.Context, f tileWords, acc []reg.VecVirtual, rows, panels int) {
	var words [3]reg.VecVirtual
	for j := range panels {
		words[j] = c.ZMM()
	}
	x := c.ZMM()
	product := [3]reg.VecVirtual{c.ZMM(), c.ZMM(), c.ZMM()}
	c.Label("loop")
	for u := range unrolled {
		for half := range 2 {
			for j := range panels {
				c.VMOVDQU32(f.panel(j, 64*u), words[j])
				if half == 0 {
					c.VPSLLW(operand.Imm(8), words[j], words[j])
				}
				c.VPSRAW(operand.Imm(8), words[j], words[j])
			}
			for r := range rows {
				c.VPBROADCASTD(f.block(r/4, 32*u+8*(r%4)+4*half), x)
				for j := range panels {
					c.VPMADDWD(words[j], x, product[j])
					c.VPADDD(product[j], acc[r*panels+j], acc[r*panels+j])
				}
			}
		}
	}
	f.next(c, 32)
}

func tileI8AVXVNNI(c *build.Context, s shape256) {
	function(c, fmt.Sprintf("tileI8x%dx%dAVXVNNI", s.rows, 16*s.panels), "func(t *[9]uint64)")
	f := loadTileWords(c)
	s.start(c, f)
	loopI8AVXVNNI(c, f, s)
	s.store(c, f)
}

// loopI8AVXVNNI keeps the activations of two rows in registers.
func loopI8AVXVNNI(c *build.Context, f tileWords, s shape256) {
	w := [2]reg.VecPhysical{reg.Y12, reg.Y13}
	x := [2]reg.VecPhysical{reg.Y14, reg.Y15}
	c.Label("loop")
	for u := range unrolled {
		for p := range s.panels {
			for j := range w {
				c.VMOVDQU(f.panel(p, 64*u+32*j), w[j])
			}
			for r := range s.rows {
				if p == 0 {
					c.VPBROADCASTD(f.block(r/2, 8*u+4*(r%2)), x[r%2])
				}
				for j := range w {
					c.VPDPBUSD(w[j], x[r%2], s.sum(r, 2*p+j))
				}
			}
		}
	}
	f.next(c, 8)
}

func tileI8AVX2(c *build.Context, s shape256) {
	function(c, fmt.Sprintf("tileI8x%dx16AVX2", s.rows), "func(t *[9]uint64)")
	f := loadTileWords(c)
	s.start(c, f)
	loopI8AVX2(c, f, s)
	s.store(c, f)
}

// loopI8AVX2 widens to 16 bits as loopI8AVX512 does. The even bytes of both columns come first, then the
// odd ones, which are loaded again: with twelve sums there are registers for two vectors of words only,
// and each number of the activations should be loaded once for both columns.
func loopI8AVX2(c *build.Context, f tileWords, s shape256) {
	words, product := [2]reg.VecPhysical{reg.Y12, reg.Y13}, [2]reg.VecPhysical{reg.Y14, reg.Y15}
	c.Label("loop")
	for u := range unrolled {
		for half := range 2 {
			for j := range words {
				c.VMOVDQU(operand.Mem{Base: f.w, Disp: 64*u + 32*j}, words[j])
				if half == 0 {
					c.VPSLLW(operand.Imm(8), words[j], words[j])
				}
				c.VPSRAW(operand.Imm(8), words[j], words[j])
			}
			for r := range s.rows {
				x := product[1]
				c.VPBROADCASTD(f.block(r/2, 16*u+8*(r%2)+4*half), x)
				for j := range words {
					c.VPMADDWD(words[j], x, product[j])
					c.VPADDD(product[j], s.sum(r, j), s.sum(r, j))
				}
			}
		}
	}
	f.next(c, 16)
}

// A shape256 is that of a tile of 256-bit registers: twelve sums at most.
type shape256 struct{ rows, panels int }

func (s shape256) vectors() int { return 2 * s.panels } // of a row

// sum is the register of columns 8j to 8j+7 of row r.
func (s shape256) sum(r, j int) reg.VecPhysical {
	return [...]reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11}[s.vectors()*r+j]
}

func (s shape256) start(c *build.Context, f tileWords) {
	for r := range s.rows {
		for j := range s.vectors() {
			c.VMOVDQU(operand.Mem{Base: f.start, Disp: 32 * j}, s.sum(r, j))
		}
		if r+1 < s.rows {
			c.ADDQ(f.startStep, f.start)
		}
	}
}

func (s shape256) store(c *build.Context, f tileWords) {
	for r := range s.rows {
		for j := range s.vectors() {
			c.VMOVDQU(s.sum(r, j), operand.Mem{Base: f.sums, Disp: 32 * j})
		}
		if r+1 < s.rows {
			c.ADDQ(f.sumsStep, f.sums)
		}
	}
	c.VZEROUPPER()
	c.RET()
}
