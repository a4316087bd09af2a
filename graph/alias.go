package graph

import (
	"reflect"
	"unsafe"
)

// memory is a set of types: those of the elements that engine memory holds in backing arrays. A value
// may point into engine memory if its type can point to one of them.
type memory map[reflect.Type]bool

func union(a, b memory) memory {
	u := memory{}
	for t := range a {
		u[t] = true
	}
	for t := range b {
		u[t] = true
	}
	return u
}

// addCell adds what an engine cell of type t keeps in backing arrays.
func (m memory) addCell(t reflect.Type) {
	walk(t, func(u reflect.Type) {
		if u.Kind() == reflect.Slice {
			m.addParts(u.Elem())
		}
	})
}

func (m memory) addParts(t reflect.Type) {
	m[t] = true
	switch t.Kind() {
	case reflect.Array:
		m.addParts(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			m.addParts(t.Field(i).Type)
		}
	}
}

// reachedBy reports whether a value of type t may point into m.
func (m memory) reachedBy(t reflect.Type) (yes bool) {
	if len(m) == 0 {
		return false
	}
	walk(t, func(u reflect.Type) {
		switch u.Kind() {
		case reflect.Slice, reflect.Pointer:
			e := u.Elem()
			yes = yes || m[e] || e.Kind() == reflect.Array && m[e.Elem()]
		case reflect.Interface, reflect.Func, reflect.UnsafePointer, reflect.Chan:
			yes = true
		}
	})
	return yes
}

// walk calls f for t and every type below it.
func walk(t reflect.Type, f func(reflect.Type)) {
	seen := memory{}
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
