package graph

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

type (
	nested struct {
		n    int8
		Rows [][]string
		Grid [2][]int32
		when time.Time
	}
	holder struct {
		Kept  []int
		Next  *holder
		Table map[string][]uint8
		Any   any
	}
	own    struct{ from []int } // copies itself
	byVal  struct{ from []int } // does, too
	others struct{}             // copies into something else
	wrong  struct{}             // returns something
	wraps  struct{ own }        // has the promoted method, which copies only a part
)

func (o *own) CopyTo(dst *own)          { dst.from = append(dst.from[:0], 1) }
func (b byVal) CopyTo(dst *byVal)       { dst.from = append(dst.from[:0], 1) }
func (o *others) CopyTo(dst *own)       {}
func (w *wrong) CopyTo(dst *wrong) bool { return true }

// cellOf is the memory of what an Into step returns.
func cellOf[T any]() memory { return cellMemory(reflect.TypeFor[T](), memory{}, typeSet{}) }

func reaches[T any](m memory) bool { return m.held.reachedBy(reflect.TypeFor[T]()) }

func TestWhatMayPointWhere(t *testing.T) {
	inside := memory.inside
	ints := inside(cellOf[[]int](), reflect.TypeFor[[]int]())
	rows := inside(cellOf[[][]int](), reflect.TypeFor[[][]int]())
	arrays := inside(cellOf[[][4]int](), reflect.TypeFor[[][4]int]())
	structs := inside(cellOf[[]parts](), reflect.TypeFor[[]parts]())
	held := inside(cellOf[holder](), reflect.TypeFor[holder]())
	kin := inside(cellOf[family](), reflect.TypeFor[family]())
	text := inside(cellOf[string](), reflect.TypeFor[string]())
	gathered := inside(memory{elem: &memory{}}, reflect.TypeFor[[][]int]())
	for name, c := range map[string]struct{ got, want bool }{
		"[]int from []int":             {reaches[[]int](ints), true},
		"int from []int":               {reaches[int](ints), false},
		"[]string from []int":          {reaches[[]string](ints), false},
		"[2][]int from []int":          {reaches[[2][]int](ints), true},
		"*int from []int":              {reaches[*int](ints), true},
		"*[2]int from []int":           {reaches[*[2]int](ints), true},
		"a struct from []int":          {reaches[parts](ints), false},
		"a struct with it":             {reaches[struct{ a []int }](ints), true},
		"a map of it":                  {reaches[map[string][]int](ints), true},
		"a map by it":                  {reaches[map[*int]bool](ints), true},
		"any from []int":               {reaches[any](ints), true},
		"a func from []int":            {reaches[func()](ints), true},
		"a channel":                    {reaches[chan int](ints), true},
		"unsafe.Pointer":               {reaches[unsafe.Pointer](ints), true},
		"a time":                       {reaches[time.Time](ints), false},
		"[]int from [][]int":           {reaches[[]int](rows), true},
		"[][]int from [][]int":         {reaches[[][]int](rows), true},
		"[]string from [][]int":        {reaches[[]string](rows), false},
		"[]int from [][4]int":          {reaches[[]int](arrays), true},
		"*[4]int from [][4]int":        {reaches[*[4]int](arrays), true},
		"*[2][4]int from [][4]int":     {reaches[*[2][4]int](arrays), true},
		"*string, a field, of structs": {reaches[*string](structs), true},
		"[]int64, a field, of structs": {reaches[[]int64](structs), true},
		"*int of structs":              {reaches[*int](structs), false},
		"[]int of a struct":            {reaches[[]int](held), true},
		"what a map there has":         {reaches[[]uint8](held), false}, // maps are not kept
		"a recursive type":             {reaches[family](kin), true},
		"its elements":                 {reaches[*family](kin), true},
		"any from a string":            {reaches[any](text), false},
		"what was gathered":            {reaches[*[]int](gathered), true},
		"what was gathered, inside":    {reaches[[]int](gathered), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: may point to engine memory: %v, want %v", name, c.got, c.want)
		}
	}
}

// copies returns the copy of v, which may point into memory that holds held, into dst.
func copies[T any](t *testing.T, v T, dst *T, held ...reflect.Type) {
	t.Helper()
	m := memory{held: typeSet{}, step: "step"}
	for _, h := range held {
		m.holdParts(h)
	}
	f, err := copyOut(reflect.TypeFor[T](), m)
	if err != nil {
		t.Fatal(err)
	}
	f(unsafe.Pointer(dst), unsafe.Pointer(&v))
	if !reflect.DeepEqual(*dst, v) {
		t.Fatalf("the copy of %v is %v", v, *dst)
	}
}

func TestCopyOut(t *testing.T) {
	// recursive: every level is new
	kin := family{"a", []family{{"b", []family{{"c", nil}, {"d", []family{}}}}, {"e", nil}}}
	var twin family
	copies(t, kin, &twin, reflect.TypeFor[family]())
	kin.Kids[0].Kids[1].Name = "changed"
	if twin.Kids[0].Kids[1].Name != "d" {
		t.Error("the copy of a recursive type shares a lower level")
	}
	// what cannot point there is shared, the rest is not
	v := nested{1, [][]string{{"a"}, nil}, [2][]int32{{1}, {2, 3}}, time.Unix(1, 2)}
	var c nested
	copies(t, v, &c, reflect.TypeFor[int32]())
	if &c.Rows[0] != &v.Rows[0] || &c.Grid[1][0] == &v.Grid[1][0] {
		t.Error("strings were copied, or numbers were not")
	}
	// memory that dst has is used, at every depth, also on the way to a longer value and back
	grid := &c.Grid[1][0]
	v.Grid[1] = []int32{9}
	copies(t, v, &c, reflect.TypeFor[int32]())
	v.Grid[1] = []int32{8, 7}
	copies(t, v, &c, reflect.TypeFor[int32]())
	if &c.Grid[1][0] != grid {
		t.Error("capacity that was there was not used")
	}
	v.Grid[0], v.Grid[1] = nil, []int32{}
	copies(t, v, &c, reflect.TypeFor[int32]())
	if c.Grid[0] != nil || c.Grid[1] == nil || len(c.Grid[1]) != 0 {
		t.Errorf("nil became %#v, an empty slice %#v", c.Grid[0], c.Grid[1])
	}
	var none []struct{}
	copies(t, make([]struct{}, 3), &none, reflect.TypeFor[struct{}]())
	for _, bad := range []reflect.Type{reflect.TypeFor[any](), reflect.TypeFor[map[string][]int32](), reflect.TypeFor[[]error](), reflect.TypeFor[struct{ p *int32 }]()} {
		_, err := copyOut(bad, memory{held: typeSet{reflect.TypeFor[int32](): true}, step: "some/step"})
		if err == nil || !strings.HasPrefix(err.Error(), "some/step: ") || !strings.Contains(err.Error(), "cannot be copied") {
			t.Errorf("copy of a %v: %v", bad, err)
		}
	}
}

func TestCopiesItself(t *testing.T) {
	for typ, want := range map[reflect.Type]bool{
		reflect.TypeFor[own](): true, reflect.TypeFor[byVal](): true,
		reflect.TypeFor[others](): false, reflect.TypeFor[wrong](): false, reflect.TypeFor[wraps](): false,
		reflect.TypeFor[*own](): false, reflect.TypeFor[struct{ own }](): false, reflect.TypeFor[int](): false,
		reflect.TypeFor[fmt.Stringer](): false,
	} {
		if copiesItself(typ) != want {
			t.Errorf("%v copies itself: %v, want %v", typ, !want, want)
		}
	}
	in := wraps{own{[]int{1, 2}}}
	var out wraps
	copyIn(reflect.TypeOf(in))(unsafe.Pointer(&out), unsafe.Pointer(&in))
	if len(out.from) != 1 {
		t.Errorf("a field's CopyTo was not used: %v", out)
	}
}
