package peak

import (
	"syscall"
	"testing"

	"github.com/maida-ai/gomai/internal/cpu"
)

// Stream loads up to the end of its argument and not beyond: there is memory there that nobody may read.
func TestStreamStaysInside(t *testing.T) {
	page := syscall.Getpagesize()
	m, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(m)
	if err := syscall.Mprotect(m[page:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for _, l := range cpu.Levels() {
		restore := cpu.Use(l, 0)
		for n := 0; n <= page; n += StreamBytes {
			Stream(m[page-n : page])
		}
		restore()
	}
}

func TestStreamRefusesOddLengths(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Stream(make([]byte, StreamBytes+1))
}
