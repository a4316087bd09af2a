// Package layers is what users write pipelines with: typed Modules, the composites that join them, the
// settings they take, and Compile, which turns a Module into an Engine to call. Types are checked by the
// Go compiler; what runs is an untyped program of package kernel, so nothing is boxed on the way.
//
// A Module is made from a plain function (Plain, Func), from one that fills memory of the engine and
// so costs no allocation (Into), or from a value with a Forward method (Of). Ready-made Modules round
// models and metrics live in package steps.
package layers

import (
	"context"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/maida-ai/gomai/graph"
	"github.com/maida-ai/gomai/kernel"
)

// Module is a typed step or composite: a handle on an immutable graph node. Handles are copied freely.
type Module[I, O any] struct {
	node *graph.Node
}

// Node returns the untyped node, nil for a zero Module.
func (m Module[I, O]) Node() *graph.Node { return m.node }

// FromNode returns a typed handle on n. The types must be the node's.
func FromNode[I, O any](n *graph.Node) (Module[I, O], error) {
	if n != nil && (n.In != reflect.TypeFor[I]() || n.Out != reflect.TypeFor[O]()) {
		return Module[I, O]{}, &graph.CompileError{Path: n.Name, Err: fmt.Errorf("is %v -> %v, not %v -> %v",
			n.In, n.Out, reflect.TypeFor[I](), reflect.TypeFor[O]())}
	}
	return Module[I, O]{n}, nil
}

// With returns a copy of m with settings. Where a setting is given twice, the innermost With holds;
// limits of time add up to the smallest.
func (m Module[I, O]) With(opts ...Option) Module[I, O] {
	if m.node == nil {
		return m
	}
	return Module[I, O]{m.node.With(opts...)}
}

func leaf[I, O any](name string, into, isNil bool, step kernel.Step) Module[I, O] {
	n := &graph.Node{Name: name, In: reflect.TypeFor[I](), Out: reflect.TypeFor[O](), Into: into, Step: step}
	if isNil {
		n.Step = nil
	}
	return Module[I, O]{n}
}

// Plain makes a Module of a function that takes no context. Its settings and deadlines hold all the
// same, at its edges. What f returns belongs to whoever receives it.
func Plain[I, O any](name string, f func(I) (O, error)) Module[I, O] {
	return leaf[I, O](name, false, f == nil, func(_ *kernel.Context, in, out unsafe.Pointer) (err error) {
		*(*O)(out), err = f(*(*I)(in))
		return err
	})
}

// Func makes a Module of a function. What f returns belongs to whoever receives it. Its ctx ends with
// the step: hand kernel.Detach(ctx) to goroutines that live longer.
func Func[I, O any](name string, f func(context.Context, I) (O, error)) Module[I, O] {
	return leaf[I, O](name, false, f == nil, func(c *kernel.Context, in, out unsafe.Pointer) (err error) {
		*(*O)(out), err = f(c, *(*I)(in))
		return err
	})
}

// Into makes a Module of a function that fills *out, so that it need not allocate. *out is engine
// memory that the next call uses again: its slices arrive with what capacity they have (append to
// (*out)[:0]), everything else in it zero after the first use or as the last call left it. f may not
// store part of in, nor memory of its own that it keeps, in *out; and it may not keep in or out.
//
// Cost: no allocation once the slices have grown; those over 1 MiB are not kept.
func Into[I, O any](name string, f func(ctx context.Context, in I, out *O) error) Module[I, O] {
	return leaf[I, O](name, true, f == nil, func(c *kernel.Context, in, out unsafe.Pointer) error {
		return f(c, *(*I)(in), (*O)(out))
	})
}

// Forwarder is a step with state of its own. Forward may be called from many goroutines at once.
type Forwarder[I, O any] interface {
	Forward(ctx context.Context, in I) (O, error)
}

// Of makes a Module of a Forwarder.
func Of[I, O any](name string, f Forwarder[I, O]) Module[I, O] {
	if f == nil {
		return Func[I, O](name, nil)
	}
	return Func(name, f.Forward)
}
