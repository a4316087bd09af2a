//go:build unix

package simd

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded returns memory that cannot be left unnoticed: last ends right before a page that may not be
// touched, and first begins right behind one. Tests take last[len(last)-n:] and first[:n].
func guarded[T any](t testing.TB, n int) (last, first []T) {
	t.Helper()
	page := unix.Getpagesize()
	size := n * int(unsafe.Sizeof(*new(T)))
	pages := max(1, (size+page-1)/page) * page
	part := func() []byte {
		all, err := unix.Mmap(-1, 0, page+pages+page, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Munmap(all); err != nil {
				t.Error(err)
			}
		})
		inner := all[page : page+pages]
		if err := unix.Mprotect(inner, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			t.Fatal(err)
		}
		return inner
	}
	// The sizes of T divide that of a page, so the memory is aligned for T.
	last = unsafe.Slice((*T)(unsafe.Pointer(&part()[pages-size])), n)
	first = unsafe.Slice((*T)(unsafe.Pointer(&part()[0])), n)
	return last, first
}
