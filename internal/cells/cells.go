// Package cells is the memory of a call: a place for every value that its steps exchange. It handles
// values without knowing their types, by functions that package graph builds from reflect.Type.
package cells

import (
	"unsafe"

	"github.com/maida-ai/gomai/internal/invariants"
)

// Type says how values of one type are handled.
type Type struct {
	Name    string
	Flat    bool                           // holds no pointers
	New     func(width int) unsafe.Pointer // a zero value; width > 0: of a slice of that length
	Move    func(dst, src unsafe.Pointer)  // *dst = *src
	Clear   func(p unsafe.Pointer)         // *p = zero
	Scrub   func(p unsafe.Pointer)         // makes an Into cell fit for reuse; nil: nothing to do
	Poison  func(p unsafe.Pointer)         // overwrites the numbers below p
	Measure func(p unsafe.Pointer) int64   // bytes, what p points to included
}

// Cell is a place for one value.
type Cell struct {
	Type   *Type
	Engine bool    // engine memory that an Into step fills again; otherwise it belongs to whoever receives it
	Width  int     // > 0: a slice of so many elements, each a cell of its own
	Parts  bool    // a struct whose fields are cells of their own
	Parent int     // the cell that this one is a part of, which comes before it; -1: it stands alone
	Offset uintptr // of a part
}

// whole reports whether the cell's value is not made of other cells.
func (c *Cell) whole() bool { return c.Width == 0 && !c.Parts }

// Memory holds the values of cells.
type Memory struct {
	At    []unsafe.Pointer // where they are
	cells []Cell
	dirty bool // some cell must be cleaned after a call
}

// New returns zero values.
func New(cells []Cell) Memory {
	m := Memory{At: make([]unsafe.Pointer, len(cells)), cells: cells}
	m.allocate(0, len(cells))
	for i := range cells {
		m.dirty = m.dirty || !cells[i].Type.Flat && cells[i].whole() || invariants.On
	}
	return m
}

func (m *Memory) allocate(from, to int) {
	for i := from; i < to; i++ {
		c := &m.cells[i]
		if c.Parent < 0 {
			m.At[i] = c.Type.New(c.Width)
			continue
		}
		whole := m.At[c.Parent]
		if m.cells[c.Parent].Width > 0 {
			whole = *(*unsafe.Pointer)(whole) // the slice's backing array
		}
		m.At[i] = unsafe.Add(whole, c.Offset)
		if c.Width > 0 {
			c.Type.Move(m.At[i], c.Type.New(c.Width))
		}
	}
}

// Leave gives the cells in [from, to) new memory with zero values, and leaves the old to somebody who
// still uses it. None of them may be a part of a cell that is not.
func (m *Memory) Leave(from, to int) { m.allocate(from, to) }

// Clean makes the memory fit for the next call.
func (m *Memory) Clean() {
	if m.dirty { // apart, so that this is inlined
		m.clean()
	}
}

func (m *Memory) clean() {
	for i := range m.cells {
		c, p := &m.cells[i], m.At[i]
		switch {
		case !c.whole():
			if invariants.On && c.Width > 0 {
				c.Type.Poison(p)
			}
		case c.Engine:
			if c.Type.Scrub != nil {
				c.Type.Scrub(p)
			}
		case !c.Type.Flat:
			c.Type.Clear(p)
		}
	}
}
