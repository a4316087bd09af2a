package quant

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"
)

// fenced returns a copy of v that ends right before a page that may not be touched, or begins right behind
// one.
func fenced[T any](t *testing.T, v []T, atEnd bool) []T {
	t.Helper()
	page, size := syscall.Getpagesize(), len(v)*int(unsafe.Sizeof(v[0]))
	pages := (size + page - 1) / page * page
	all, err := syscall.Mmap(-1, 0, pages+2*page, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(all) })
	inner := all[page : page+pages]
	if err := syscall.Mprotect(inner, syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	if atEnd {
		inner = inner[pages-size:]
	}
	c := unsafe.Slice((*T)(unsafe.Pointer(&inner[0])), len(v))
	copy(c, v)
	return c
}

// Products read no weight beyond those of the layer.
func TestProductsStayWithin(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for i := range 12 {
		s := productShapes[i%5]
		c := &productCase{shape: s, tokens: []int{1 + r.IntN(20), 1 + r.IntN(9)}, layer: randomLayer(r, s), seed: uint64(i)}
		atEnd := i%4 != 0
		for _, l := range []*Linear{&c.layer.QKV, &c.layer.Out, &c.layer.Up, &c.layer.Down} {
			l.Weights = fenced(t, l.Weights, atEnd)
			l.Scale, l.Bias = fenced(t, l.Scale, atEnd), fenced(t, l.Bias, atEnd)
			if l.Offset != nil {
				l.Offset = fenced(t, l.Offset, atEnd)
			}
		}
		c.check(t)
	}
}
