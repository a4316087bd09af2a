package graph

import (
	"maps"
	"reflect"
	"unsafe"
)

// typeSet is a set of types.
type typeSet map[reflect.Type]bool

// memory says what engine memory a value may point into.
type memory struct {
	held     typeSet // the types of elements that engine memory holds in backing arrays
	gathered bool    // the value is itself a slice that a Parallel has gathered; its elements are not counted
}

// inside returns what a value may point into that holds a value of type t with memory m.
func (m memory) inside(t reflect.Type) memory {
	in := memory{held: maps.Clone(m.held)}
	if m.gathered {
		in.hold(t)
	}
	return in
}

// or returns what a value may point into that has memory m or n.
func (m memory) or(n memory) memory {
	u := memory{held: typeSet{}, gathered: m.gathered || n.gathered}
	maps.Copy(u.held, m.held)
	maps.Copy(u.held, n.held)
	return u
}

// hold adds what an engine cell of type t keeps in backing arrays.
func (m *memory) hold(t reflect.Type) {
	if m.held == nil {
		m.held = typeSet{}
	}
	walk(t, func(u reflect.Type) {
		if u.Kind() == reflect.Slice {
			m.holdParts(u.Elem())
		}
	})
}

func (m *memory) holdParts(t reflect.Type) {
	m.held[t] = true
	switch t.Kind() {
	case reflect.Array:
		m.holdParts(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			m.holdParts(t.Field(i).Type)
		}
	}
}

// reachedBy reports whether a value of type t, all of whose parts are counted, may point into the set.
func (s typeSet) reachedBy(t reflect.Type) (yes bool) {
	if len(s) == 0 {
		return false
	}
	walk(t, func(u reflect.Type) {
		switch u.Kind() {
		case reflect.Slice, reflect.Pointer:
			e := u.Elem()
			yes = yes || s[e] || e.Kind() == reflect.Array && s[e.Elem()]
		case reflect.Interface, reflect.Func, reflect.UnsafePointer, reflect.Chan:
			yes = true
		}
	})
	return yes
}

// walk calls f for t and every type below it.
func walk(t reflect.Type, f func(reflect.Type)) {
	seen := typeSet{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		if seen[t] || t == timeType {
			return
		}
		seen[t] = true
		f(t)
		switch t.Kind() {
		case reflect.Map:
			visit(t.Key())
			visit(t.Elem())
		case reflect.Array, reflect.Slice, reflect.Pointer, reflect.Chan:
			visit(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				visit(t.Field(i).Type)
			}
		}
	}
	visit(t)
}

// eachSlice calls f for each slice below p.
func eachSlice(t reflect.Type, p unsafe.Pointer, f func(elem reflect.Type, h *slice)) {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			eachSlice(t.Field(i).Type, unsafe.Add(p, t.Field(i).Offset), f)
		}
	case reflect.Slice:
		h := (*slice)(p)
		if h.data == nil {
			return
		}
		if !flat(t.Elem()) {
			for i := range uintptr(h.len) {
				eachSlice(t.Elem(), unsafe.Add(h.data, i*t.Elem().Size()), f)
			}
		}
		f(t.Elem(), h)
	}
}

// storesInput reports whether out holds part of a slice of in, which an Into step must not do.
func storesInput(inType reflect.Type, in unsafe.Pointer, outType reflect.Type, out unsafe.Pointer) (bad bool) {
	eachSlice(inType, in, func(ie reflect.Type, a *slice) {
		a0 := uintptr(a.data)
		a1 := a0 + uintptr(a.cap)*ie.Size()
		eachSlice(outType, out, func(oe reflect.Type, b *slice) {
			b0 := uintptr(b.data)
			b1 := b0 + uintptr(b.cap)*oe.Size()
			bad = bad || a0 < b1 && b0 < a1
		})
	})
	return bad
}
