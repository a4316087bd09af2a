package cells

import (
	"testing"
	"unsafe"

	"github.com/maida-ai/gomai/internal/invariants"
)

// text is the Type of a string, of which only what these tests need is there.
var text = &Type{
	Name:   "string",
	New:    func(int) unsafe.Pointer { return unsafe.Pointer(new(string)) },
	Move:   func(dst, src unsafe.Pointer) { *(*string)(dst) = *(*string)(src) },
	Clear:  func(p unsafe.Pointer) { *(*string)(p) = "" },
	Poison: func(unsafe.Pointer) {},
}

// texts is the Type of a slice of them.
var texts = &Type{
	Name:   "[]string",
	New:    func(width int) unsafe.Pointer { s := make([]string, width); return unsafe.Pointer(&s) },
	Move:   func(dst, src unsafe.Pointer) { *(*[]string)(dst) = *(*[]string)(src) },
	Clear:  func(p unsafe.Pointer) { *(*[]string)(p) = nil },
	Poison: func(unsafe.Pointer) {},
}

// memory has a cell of its own, a slice of two cells, and another of its own.
func memory() Memory {
	return New([]Cell{
		{Type: text, Parent: -1},
		{Type: texts, Parent: -1, Width: 2},
		{Type: text, Parent: 1},
		{Type: text, Parent: 1, Offset: unsafe.Sizeof("")},
		{Type: text, Parent: -1},
	})
}

func fill(m *Memory, s string) {
	for _, i := range []int{0, 2, 3, 4} {
		*(*string)(m.At[i]) = s
	}
}

func at(m *Memory, i int) string { return *(*string)(m.At[i]) }

func TestPartsAreElements(t *testing.T) {
	m := memory()
	fill(&m, "x")
	*(*string)(m.At[3]) = "y"
	if s := *(*[]string)(m.At[1]); len(s) != 2 || s[0] != "x" || s[1] != "y" {
		t.Errorf("the slice is %q", s)
	}
}

func TestLeave(t *testing.T) {
	m := memory()
	fill(&m, "new")
	old := append([]unsafe.Pointer(nil), m.At...)
	m.Leave(1, 4)
	for i, p := range old {
		if left := i >= 1 && i < 4; left != (m.At[i] != p) {
			t.Errorf("cell %d has new memory: %v, want %v", i, m.At[i] != p, left)
		}
	}
	for _, i := range []int{2, 3} {
		if at(&m, i) != "" {
			t.Errorf("cell %d is %q in new memory", i, at(&m, i))
		}
		*(*string)(old[i]) = "late" // what an abandoned run writes
		if at(&m, i) != "" {
			t.Errorf("cell %d shows what is written to the old memory", i)
		}
	}
	*(*string)(m.At[2]) = "first"
	if s := *(*[]string)(m.At[1]); s[0] != "first" || s[1] != "" {
		t.Errorf("the slice is %q", s)
	}
	if at(&m, 0) != "new" || at(&m, 4) != "new" {
		t.Error("cells that stay lost their values")
	}
}

func TestClean(t *testing.T) {
	m := memory()
	fill(&m, "x")
	m.Clean()
	for _, i := range []int{0, 2, 3, 4} {
		if at(&m, i) != "" {
			t.Errorf("cell %d is %q after Clean", i, at(&m, i))
		}
	}
	flat := *text
	flat.Flat = true
	m = New([]Cell{{Type: &flat, Parent: -1}})
	*(*string)(m.At[0]) = "x"
	if m.Clean(); !invariants.On && at(&m, 0) != "x" {
		t.Error("a value without pointers was cleared")
	}
}
