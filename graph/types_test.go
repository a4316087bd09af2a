package graph

import (
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/invariants"
)

type (
	point struct{ x, y int32 }
	list  struct {
		Values []float64
		Kids   []list
	}
	mixed struct {
		Name   string
		Rows   [][]string
		Arrays [2][]point
		When   time.Time
		Map    map[string]int
		Any    any
		self   *mixed
	}
	self struct{ n int }
)

func (s *self) CopyTo(dst *self) { dst.n = s.n + 100 }

func TestFlatAndFrozen(t *testing.T) {
	for _, c := range []struct {
		v            any
		flat, frozen bool
	}{
		{5, true, true}, {1i, true, true}, {uintptr(1), true, true}, {[3]point{}, true, true}, {struct{}{}, true, true},
		{[0]*int{}, true, false}, // harmless
		{"s", false, true}, {[2]string{}, false, true}, {struct{ a, b string }{}, false, true}, {time.Time{}, false, true},
		{struct{ t time.Time }{}, false, true},
		{[]int{}, false, false}, {new(int), false, false}, {map[int]int{}, false, false}, {func() {}, false, false},
		{make(chan int), false, false}, {struct{ e error }{}, false, false}, {[1][]int{}, false, false},
		{unsafe.Pointer(nil), false, false}, {mixed{}, false, false}, {list{}, false, false},
	} {
		typ := reflect.TypeOf(c.v)
		if flat(typ) != c.flat {
			t.Errorf("flat(%v) = %v", typ, !c.flat)
		}
		if frozen(typ) != c.frozen {
			t.Errorf("frozen(%v) = %v", typ, !c.frozen)
		}
	}
}

func value() mixed {
	m := mixed{
		Name: "n", Rows: [][]string{{"a", "b"}, nil, {}}, When: time.Unix(5, 6),
		Arrays: [2][]point{{{1, 2}}, {{3, 4}, {5, 6}}}, Map: map[string]int{"a": 1}, Any: []int{1},
	}
	m.self = &m
	return m
}

// A copied input shares no slice with the caller; what cannot be copied is shared.
func TestCopyIn(t *testing.T) {
	in := value()
	var own mixed
	copyIn(reflect.TypeFor[mixed]())(unsafe.Pointer(&own), unsafe.Pointer(&in))
	if want := value(); !reflect.DeepEqual(own.Rows, want.Rows) || !reflect.DeepEqual(own.Arrays, want.Arrays) || own.Name != "n" || own.When != want.When {
		t.Fatalf("got %+v", own)
	}
	if own.Rows[1] != nil || own.Rows[2] == nil {
		t.Error("nil and empty slices are not kept apart")
	}
	if own.self != in.self || reflect.ValueOf(own.Map).Pointer() != reflect.ValueOf(in.Map).Pointer() {
		t.Error("a pointer or a map was not shared")
	}
	in.Rows[0][1], in.Arrays[1][0].x = "x", 9
	in.Rows[1] = []string{"y"}
	if own.Rows[0][1] != "b" || own.Arrays[1][0].x != 3 || own.Rows[1] != nil {
		t.Errorf("the copy changed with the input: %+v", own)
	}
	deep := list{Kids: []list{{Values: []float64{1}}, {Kids: []list{{Values: []float64{2, 3}}}}}}
	var tree list
	copyIn(reflect.TypeFor[list]())(unsafe.Pointer(&tree), unsafe.Pointer(&deep))
	if !reflect.DeepEqual(tree, deep) || &tree.Kids[1].Kids[0].Values[0] == &deep.Kids[1].Kids[0].Values[0] {
		t.Errorf("a recursive type: %+v", tree)
	}
	selves, copied := []self{{1}, {2}}, []self(nil)
	copyIn(reflect.TypeFor[[]self]())(unsafe.Pointer(&copied), unsafe.Pointer(&selves))
	if !reflect.DeepEqual(copied, []self{{101}, {102}}) {
		t.Errorf("CopyTo of elements was not used: %v", copied)
	}
}

// Copying out uses the slices that are there, at every depth.
func TestCopyOutReuses(t *testing.T) {
	typ := reflect.TypeFor[list]()
	out, err := copyOut(typ, cellMemory(typ, memory{}, typeSet{}))
	if err != nil {
		t.Fatal(err)
	}
	src := list{Values: []float64{1, 2}, Kids: []list{{Values: []float64{3}}}}
	dst := list{Values: make([]float64, 0, 2), Kids: make([]list, 1, 3)}
	dst.Kids[0].Values = make([]float64, 5)
	v0, k0 := unsafe.SliceData(dst.Values), unsafe.SliceData(dst.Kids[0].Values)
	copyTo := func() { out(unsafe.Pointer(&dst), unsafe.Pointer(&src)) }
	if n := testing.AllocsPerRun(10, copyTo); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !reflect.DeepEqual(dst, src) || unsafe.SliceData(dst.Values) != v0 || unsafe.SliceData(dst.Kids[0].Values) != k0 {
		t.Errorf("got %+v, in other memory than was lent", dst)
	}
	src.Values = append(src.Values, 4) // too long for what is there
	if copyTo(); !reflect.DeepEqual(dst, src) || &dst.Values[0] == &src.Values[0] {
		t.Errorf("got %+v", dst)
	}
}

// What is scrubbed keeps its arrays, and nothing else that holds a pointer.
func TestScrub(t *testing.T) {
	m := value()
	rows, texts, points := m.Rows, m.Rows[0], m.Arrays[1]
	describe(reflect.TypeFor[mixed]()).Scrub(unsafe.Pointer(&m))
	if m.Name != "" || m.Map != nil || m.Any != nil || m.self != nil || !m.When.Equal(time.Time{}) && m.When.Location() != time.UTC {
		t.Errorf("left %+v", m)
	}
	if texts[0] != "" || texts[1] != "" {
		t.Errorf("left the texts %q", texts)
	}
	if invariants.On {
		if m.Rows != nil || m.Arrays[1] != nil || uint32(points[1].y) != 0xDBDBDBDB {
			t.Errorf("kept %+v, unpoisoned %v", m, points)
		}
		return
	}
	if unsafe.SliceData(m.Rows) != unsafe.SliceData(rows) || unsafe.SliceData(m.Arrays[1]) != unsafe.SliceData(points) || points[1].y != 6 {
		t.Errorf("gave up %+v", m)
	}
}

func TestMeasure(t *testing.T) {
	for _, c := range []struct {
		v    any
		want int64
	}{
		{int64(5), 8}, {"abc", 16 + 3}, {[]string{"a", "bc"}, 24 + 2*16 + 3}, {[2]string{"a", "b"}, 32 + 2}, {[][]byte{{1}, nil}, 24 + 2*24 + 1},
		{[]int(nil), 24}, {&point{}, 8}, {struct {
			s string
			p []point
		}{"x", make([]point, 3, 9)}, 16 + 24 + 1 + 3*8},
	} {
		p := reflect.New(reflect.TypeOf(c.v))
		p.Elem().Set(reflect.ValueOf(c.v))
		if got := describe(p.Type().Elem()).Measure(p.UnsafePointer()); got != c.want {
			t.Errorf("%T %v measures %d bytes, want %d", c.v, c.v, got, c.want)
		}
	}
}

func TestStoresInput(t *testing.T) {
	in := [][]int{{1, 2, 3, 4}, {5}}
	for _, c := range []struct {
		name string
		out  any
		want bool
	}{
		{"a copy", []int{1, 2}, false},
		{"nil", []int(nil), false},
		{"all of it", in, true},
		{"a row", in[0], true},
		{"part of a row", in[0][2:3], true},
		{"an empty part of a row", in[0][:0], true}, // its capacity lets the owner in
		{"no part of a row", in[0][4:4:4], false},
		{"in a struct", struct{ v []int }{in[1]}, true},
		{"in an array", [2][]int{nil, in[1]}, true},
		{"in a slice", [][]int{{1}, in[0][1:]}, true},
	} {
		out := reflect.New(reflect.TypeOf(c.out))
		out.Elem().Set(reflect.ValueOf(c.out))
		if got := storesInput(reflect.TypeOf(in), unsafe.Pointer(&in), out.Type().Elem(), out.UnsafePointer()); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
