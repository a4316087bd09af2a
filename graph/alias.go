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
	held   typeSet  // the types of elements that engine memory holds in backing arrays
	elem   *memory  // the value is itself a slice that a Parallel has gathered, of elements with this memory
	fields []memory // the value is a struct whose fields, with this memory, a Both has filled
	step   string   // path of the step that returned the value, for errors
}

// inside returns what a value may point into that some part of a value of type t with memory m went into.
func (m memory) inside(t reflect.Type) memory {
	in := memory{held: maps.Clone(m.held)}
	if m.elem != nil {
		in = in.or(m.elem.inside(t.Elem()))
		in.holdParts(t.Elem())
	}
	for i, f := range m.fields {
		in = in.or(f.inside(t.Field(i).Type))
	}
	return in
}

// or returns what a value may point into that has memory m or n.
func (m memory) or(n memory) memory {
	u := memory{held: typeSet{}, elem: m.elem, fields: m.fields, step: m.step}
	maps.Copy(u.held, m.held)
	maps.Copy(u.held, n.held)
	if u.step == "" {
		u.step = n.step
	}
	switch {
	case m.elem == nil:
		u.elem = n.elem
	case n.elem != nil:
		e := m.elem.or(*n.elem)
		u.elem = &e
	}
	switch {
	case m.fields == nil:
		u.fields = n.fields
	case n.fields != nil:
		u.fields = make([]memory, len(m.fields))
		for i := range u.fields {
			u.fields[i] = m.fields[i].or(n.fields[i])
		}
	}
	return u
}

// cellMemory is the memory of a value of type t that an Into step has made of one with memory from. Its
// slices are engine memory; whatever else it holds may come from there. above are the types round t: a
// recursive one is not taken apart.
func cellMemory(t reflect.Type, from memory, above typeSet) memory {
	parts := 0
	switch {
	case above[t] || t == timeType:
	case t.Kind() == reflect.Slice:
		above[t] = true
		defer delete(above, t)
		elem := cellMemory(t.Elem(), from, above)
		return memory{elem: &elem, step: from.step}
	case t.Kind() == reflect.Struct:
		parts = t.NumField()
	}
	if parts == 0 {
		from.held = maps.Clone(from.held)
		from.hold(t)
		return from
	}
	m := memory{step: from.step}
	for i := range parts {
		m.fields = append(m.fields, cellMemory(t.Field(i).Type, from, above))
	}
	return m
}

// hold adds what an engine cell of type t keeps in backing arrays between calls.
func (m *memory) hold(t reflect.Type) {
	walk(t, func(u reflect.Type) (deeper bool) {
		if u.Kind() == reflect.Slice {
			m.holdParts(u.Elem())
		}
		return u.Kind() == reflect.Slice || u.Kind() == reflect.Array || u.Kind() == reflect.Struct
	})
}

func (m *memory) holdParts(t reflect.Type) {
	if m.held == nil {
		m.held = typeSet{}
	}
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

// reachedBy reports whether a value of type t with memory m may point into engine memory.
func (m memory) reachedBy(t reflect.Type) bool {
	yes := m.elem != nil || m.held.reachedBy(t)
	for i, f := range m.fields {
		yes = yes || f.reachedBy(t.Field(i).Type)
	}
	return yes
}

// reachedBy reports whether a value of type t, all of whose parts are counted, may point into the set.
func (s typeSet) reachedBy(t reflect.Type) (yes bool) {
	if len(s) == 0 {
		return false
	}
	walk(t, func(u reflect.Type) (deeper bool) {
		switch u.Kind() {
		case reflect.Slice, reflect.Pointer:
			e := u.Elem()
			yes = yes || s[e] || e.Kind() == reflect.Array && s[e.Elem()]
		case reflect.Interface, reflect.Func, reflect.UnsafePointer, reflect.Chan:
			yes = true
		}
		return !yes
	})
	return yes
}

// walk calls f for t and every type below it; f says whether to go below what it is given.
func walk(t reflect.Type, f func(reflect.Type) (deeper bool)) {
	seen := typeSet{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		if seen[t] || t == timeType {
			return
		}
		seen[t] = true
		if !f(t) {
			return
		}
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
	case reflect.Array:
		for i := range uintptr(t.Len()) {
			eachSlice(t.Elem(), unsafe.Add(p, i*t.Elem().Size()), f)
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
