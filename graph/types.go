package graph

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cells"
	"github.com/maida-ai/gomai/internal/invariants"
)

// keepMax is the size from which the backing array of an engine cell is given up between calls.
const keepMax = 1 << 20

// poisonByte is what released numbers are overwritten with under invariants.
const poisonByte = 0xDB

type slice struct {
	data     unsafe.Pointer
	len, cap int
}

var timeType = reflect.TypeFor[time.Time]()

// describe builds what the kernel knows of t. Values without pointers are moved as bytes, the rest
// through reflect (about 17 ns a value, no allocation).
func describe(t reflect.Type) *cells.Type {
	d := &cells.Type{
		Name: t.String(),
		Flat: flat(t),
		New: func(width int) unsafe.Pointer {
			p := reflect.New(t)
			if width > 0 {
				p.Elem().Set(reflect.MakeSlice(t, width, width))
			}
			return p.UnsafePointer()
		},
		Move:    func(dst, src unsafe.Pointer) { reflect.NewAt(t, dst).Elem().Set(reflect.NewAt(t, src).Elem()) },
		Clear:   func(p unsafe.Pointer) { reflect.NewAt(t, p).Elem().SetZero() },
		Poison:  func(p unsafe.Pointer) { poisonElements(t, p) },
		Scrub:   newScrubs().of(t),
		Measure: func(p unsafe.Pointer) int64 { return int64(t.Size()) + beyond(t, p) },
	}
	if d.Flat {
		size := t.Size()
		d.Move = func(dst, src unsafe.Pointer) { moveBytes(dst, src, size) }
	}
	return d
}

func moveBytes(dst, src unsafe.Pointer, n uintptr) {
	copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
}

// flat reports whether t holds no pointers.
func flat(t reflect.Type) bool {
	switch k := t.Kind(); k {
	case reflect.Array:
		return t.Len() == 0 || flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !flat(t.Field(i).Type) {
				return false
			}
		}
		return true
	default:
		return k <= reflect.Complex128 && k != reflect.Invalid
	}
}

// frozen reports whether what a value of t points to cannot be changed, so that it may be shared.
func frozen(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String:
		return true
	case reflect.Array:
		return frozen(t.Elem())
	case reflect.Struct:
		if t == timeType {
			return true
		}
		for i := range t.NumField() {
			if !frozen(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return flat(t)
}

type copyFunc func(dst, src unsafe.Pointer)

// copiers builds deep copies, one per type, so that recursive types end.
type copiers struct {
	built map[reflect.Type]*copyFunc
	// what decides which parts need no copy of their own: true means that a value of the type is moved
	shared func(reflect.Type) bool
	// lenient moves what cannot be copied; otherwise it is an error
	lenient bool
}

// copyOut returns what copies a value of type t out of engine memory, reusing the slices that dst has.
// What cannot point there, as own says, is moved.
func copyOut(t reflect.Type, own memory) (f copyFunc, err error) {
	outer := memory{held: own.held, step: own.step} // of every part
	switch {
	case copiesItself(t):
		return copySelf(t), nil
	case own.elem != nil:
		f, err = copyOut(t.Elem(), own.elem.or(outer))
		return copySlice(t, f), err
	case own.fields != nil:
		var fields []copyFunc
		for i, part := range own.fields {
			if f, err = copyOut(t.Field(i).Type, part.or(outer)); err != nil {
				return nil, err
			}
			fields = append(fields, f)
		}
		return copyFields(t, fields), nil
	}
	c := copiers{built: map[reflect.Type]*copyFunc{}, shared: func(t reflect.Type) bool { return !own.held.reachedBy(t) }}
	if f, err = c.of(t); err != nil {
		return nil, errorAt(own.step, "what it returns may share engine memory, and %w; mark the step Fresh if it does not, or give the type a method CopyTo", err)
	}
	return f, nil
}

// copyIn returns what copies an input of type t into fresh memory: slices at every depth, also in
// structs and arrays. Pointers, maps, interfaces, functions and channels are moved: what they point to
// is shared with the caller.
func copyIn(t reflect.Type) copyFunc {
	c := copiers{built: map[reflect.Type]*copyFunc{}, shared: frozen, lenient: true}
	f, _ := c.of(t)
	return f
}

// of returns the copy for t.
func (c copiers) of(t reflect.Type) (copyFunc, error) {
	if f := c.built[t]; f != nil {
		return func(dst, src unsafe.Pointer) { (*f)(dst, src) }, nil
	}
	f := new(copyFunc)
	c.built[t] = f
	if c.shared(t) && !copiesItself(t) {
		*f = describe(t).Move
		return *f, nil
	}
	var err error
	*f, err = c.build(t)
	if err != nil && c.lenient {
		*f, err = describe(t).Move, nil
	}
	return *f, err
}

func (c copiers) build(t reflect.Type) (copyFunc, error) {
	if copiesItself(t) {
		return copySelf(t), nil
	}
	switch t.Kind() {
	case reflect.Struct:
		var fields []copyFunc
		for i := range t.NumField() {
			f, err := c.of(t.Field(i).Type)
			if err != nil {
				return nil, err
			}
			fields = append(fields, f)
		}
		return copyFields(t, fields), nil
	case reflect.Array:
		elem, err := c.of(t.Elem())
		elems := copyElements(t.Elem(), elem)
		return func(dst, src unsafe.Pointer) { elems(dst, src, t.Len()) }, err
	case reflect.Slice:
		elem, err := c.of(t.Elem())
		return copySlice(t, elem), err
	}
	return nil, fmt.Errorf("a %s cannot be copied", t)
}

func copySelf(t reflect.Type) copyFunc {
	return func(dst, src unsafe.Pointer) {
		reflect.NewAt(t, src).MethodByName("CopyTo").Call([]reflect.Value{reflect.NewAt(t, dst)})
	}
}

func copyFields(t reflect.Type, fields []copyFunc) copyFunc {
	offsets := make([]uintptr, len(fields))
	for i := range offsets {
		offsets[i] = t.Field(i).Offset
	}
	return func(dst, src unsafe.Pointer) {
		for i, f := range fields {
			f(unsafe.Add(dst, offsets[i]), unsafe.Add(src, offsets[i]))
		}
	}
}

func copySlice(t reflect.Type, elem copyFunc) copyFunc {
	elems := copyElements(t.Elem(), elem)
	return func(dst, src unsafe.Pointer) {
		d, s := (*slice)(dst), (*slice)(src)
		switch {
		case s.data == nil:
			*d = slice{}
			return
		case d.cap < s.len || d.data == nil:
			reflect.NewAt(t, dst).Elem().Set(reflect.MakeSlice(t, s.len, s.len))
		}
		d.len = s.len
		elems(d.data, s.data, s.len)
	}
}

func copyElements(t reflect.Type, elem copyFunc) func(dst, src unsafe.Pointer, n int) {
	size := t.Size()
	if flat(t) && !copiesItself(t) {
		return func(dst, src unsafe.Pointer, n int) { moveBytes(dst, src, uintptr(n)*size) }
	}
	return func(dst, src unsafe.Pointer, n int) {
		for i := range uintptr(n) {
			elem(unsafe.Add(dst, i*size), unsafe.Add(src, i*size))
		}
	}
}

// copiesItself reports whether t has the method CopyTo(dst *T).
func copiesItself(t reflect.Type) bool {
	if t.Name() == "" {
		return false
	}
	m, ok := reflect.PointerTo(t).MethodByName("CopyTo")
	return ok && m.Type.NumIn() == 2 && m.Type.NumOut() == 0 && m.Type.In(1) == reflect.PointerTo(t)
}

type scrubFunc = func(p unsafe.Pointer)

// scrubs builds what makes a released engine cell fit for reuse, one per type.
type scrubs map[reflect.Type]*scrubFunc

func newScrubs() scrubs { return scrubs{} }

// of returns, for t, what keeps backing arrays up to keepMax and zeroes everything else that holds
// pointers; nil if there is nothing to do. Under invariants it poisons and keeps nothing.
func (s scrubs) of(t reflect.Type) scrubFunc {
	if flat(t) {
		return nil
	}
	if f := s[t]; f != nil {
		return func(p unsafe.Pointer) { (*f)(p) }
	}
	f := new(scrubFunc)
	s[t] = f
	*f = s.build(t)
	return *f
}

func (s scrubs) build(t reflect.Type) scrubFunc {
	switch t.Kind() {
	case reflect.String:
		return func(p unsafe.Pointer) { *(*string)(p) = "" }
	case reflect.Struct:
		type field struct {
			offset uintptr
			scrub  scrubFunc
		}
		var fields []field
		for i := range t.NumField() {
			if f := s.of(t.Field(i).Type); f != nil {
				fields = append(fields, field{t.Field(i).Offset, f})
			}
		}
		return func(p unsafe.Pointer) {
			for _, f := range fields {
				f.scrub(unsafe.Add(p, f.offset))
			}
		}
	case reflect.Array:
		elem, size := s.of(t.Elem()), t.Elem().Size()
		return func(p unsafe.Pointer) {
			for i := range uintptr(t.Len()) {
				elem(unsafe.Add(p, i*size))
			}
		}
	case reflect.Slice:
		elem, size := s.of(t.Elem()), t.Elem().Size()
		return func(p unsafe.Pointer) {
			h := (*slice)(p)
			if elem != nil {
				for i := range uintptr(h.len) {
					elem(unsafe.Add(h.data, i*size))
				}
			}
			if invariants.On {
				poisonElements(t, p)
			}
			if invariants.On || uintptr(h.cap)*size > keepMax {
				*h = slice{}
			}
		}
	}
	return func(p unsafe.Pointer) { reflect.NewAt(t, p).Elem().SetZero() }
}

// poisonElements overwrites the numbers in the backing array of the slice at p.
func poisonElements(t reflect.Type, p unsafe.Pointer) {
	h := (*slice)(p)
	if t.Kind() != reflect.Slice || !flat(t.Elem()) || h.data == nil {
		return
	}
	for i, b := 0, unsafe.Slice((*byte)(h.data), uintptr(h.cap)*t.Elem().Size()); i < len(b); i++ {
		b[i] = poisonByte
	}
}

// beyond returns the bytes that the value at p points to: strings and slices at every depth. Pointers,
// maps and interfaces are not followed.
func beyond(t reflect.Type, p unsafe.Pointer) (n int64) {
	if flat(t) {
		return 0
	}
	switch t.Kind() {
	case reflect.String:
		return int64(len(*(*string)(p)))
	case reflect.Struct:
		for i := range t.NumField() {
			n += beyond(t.Field(i).Type, unsafe.Add(p, t.Field(i).Offset))
		}
	case reflect.Array:
		for i := range uintptr(t.Len()) {
			n += beyond(t.Elem(), unsafe.Add(p, i*t.Elem().Size()))
		}
	case reflect.Slice:
		h, size := (*slice)(p), t.Elem().Size()
		n = int64(h.len) * int64(size)
		if !flat(t.Elem()) {
			for i := range uintptr(h.len) {
				n += beyond(t.Elem(), unsafe.Add(h.data, i*size))
			}
		}
	}
	return n
}
