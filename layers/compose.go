package layers

import (
	"context"
	"reflect"
	"time"

	"github.com/maida-ai/gomai/graph"
)

func sequential[I, O any](kids ...*graph.Node) Module[I, O] {
	return Module[I, O]{&graph.Node{
		Kind: graph.Sequential, In: reflect.TypeFor[I](), Out: reflect.TypeFor[O](), Kids: kids,
	}}
}

// Sequential runs f and then g on what f returns.
func Sequential[A, B, C any](f Module[A, B], g Module[B, C]) Module[A, C] {
	return sequential[A, C](f.node, g.node)
}

// Sequential3 is Sequential for three Modules.
func Sequential3[A, B, C, D any](f Module[A, B], g Module[B, C], h Module[C, D]) Module[A, D] {
	return sequential[A, D](f.node, g.node, h.node)
}

// Sequential4 is Sequential for four Modules.
func Sequential4[A, B, C, D, E any](f Module[A, B], g Module[B, C], h Module[C, D], i Module[D, E]) Module[A, E] {
	return sequential[A, E](f.node, g.node, h.node, i.node)
}

// Sequential5 is Sequential for five Modules.
func Sequential5[A, B, C, D, E, F any](f Module[A, B], g Module[B, C], h Module[C, D], i Module[D, E], j Module[E, F]) Module[A, F] {
	return sequential[A, F](f.node, g.node, h.node, i.node, j.node)
}

// Sequential6 is Sequential for six Modules; longer chains nest.
func Sequential6[A, B, C, D, E, F, G any](f Module[A, B], g Module[B, C], h Module[C, D], i Module[D, E], j Module[E, F], k Module[F, G]) Module[A, G] {
	return sequential[A, G](f.node, g.node, h.node, i.node, j.node, k.node)
}

// Parallel runs modules on the same input and returns what they return, in their order. The first error
// ends the others; With(WaitAll) waits for all and returns the first error by index. Branches see the
// same input, so they may not change it.
func Parallel[I, O any](modules ...Module[I, O]) Module[I, []O] {
	n := &graph.Node{Kind: graph.Parallel, In: reflect.TypeFor[I](), Out: reflect.TypeFor[[]O]()}
	for _, m := range modules {
		n.Kids = append(n.Kids, m.node)
	}
	return Module[I, []O]{n}
}

// Pair is what Both returns.
type Pair[A, B any] struct {
	First  A
	Second B
}

// Both is Parallel for two Modules with different results.
func Both[I, A, B any](f Module[I, A], g Module[I, B]) Module[I, Pair[A, B]] {
	return Module[I, Pair[A, B]]{&graph.Node{
		Kind: graph.Both, In: reflect.TypeFor[I](), Out: reflect.TypeFor[Pair[A, B]](),
		Kids: []*graph.Node{f.node, g.node},
	}}
}

// Conditional runs then if the predicate says true of its input, otherwise runs els on it. The predicate
// is a step like any other: it may block, and its error ends the call.
func Conditional[I, O any](predicate func(context.Context, I) (bool, error), then, els Module[I, O]) Module[I, O] {
	p := Func("predicate", predicate)
	return Module[I, O]{&graph.Node{
		Kind: graph.Conditional, In: reflect.TypeFor[I](), Out: reflect.TypeFor[O](),
		Kids: []*graph.Node{p.node, then.node, els.node},
	}}
}

// BlockingDelay passes its input on after d. It holds a goroutine meanwhile, as a call that blocks would:
// the caller's, or one of the lane under a deadline, under a context that can be cancelled or in a
// Parallel, whose siblings go on. It fails early, with the error of the deadline or the context.
func BlockingDelay[T any](d time.Duration) Module[T, T] { return delay[T](graph.BlockingDelay, d) }

// NonBlockingDelay passes its input on after d. It suspends its branch and costs no goroutine: siblings
// in a Parallel run meanwhile, also on the same one. It fails early, with the error of the deadline or the context.
func NonBlockingDelay[T any](d time.Duration) Module[T, T] { return delay[T](graph.Delay, d) }

func delay[T any](k graph.Kind, d time.Duration) Module[T, T] {
	return Module[T, T]{&graph.Node{Kind: k, In: reflect.TypeFor[T](), Out: reflect.TypeFor[T](), Wait: d}}
}

// RetryPolicy says how often, when and after what errors a Retry runs its Module again. It has the fields
// Max, Base, Cap, Jitter and When: see graph.RetryPolicy.
type RetryPolicy = graph.RetryPolicy

// Retry runs m again when it fails: by default up to 3 times, after 1, 2 and 4 seconds, if m's own Timeout
// is over or the error says that it is Temporary or Retryable. It does not wait for an attempt that could
// only begin at the deadline of the call or of what is round the Retry: the error of the last attempt
// is returned at once. Steps see kernel.RetryCount; those marked Effect may not stand in a Retry. Of
// several policies the last holds.
//
// A wait costs no goroutine. An attempt that left a blocking step behind, at its Timeout, leaves its memory
// to it: the next one works in memory of its own, which is allocated.
func Retry[I, O any](m Module[I, O], policy ...RetryPolicy) Module[I, O] {
	n := &graph.Node{Kind: graph.Retry, In: reflect.TypeFor[I](), Out: reflect.TypeFor[O](), Kids: []*graph.Node{m.node}}
	for _, p := range policy {
		n.Policy = p
	}
	return Module[I, O]{n}
}
