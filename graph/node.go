// Package graph holds pipelines as data: untyped nodes with typed ports, what is known of their types
// at run time, and the compiler that turns a graph into a kernel.Program and a WorkflowPlan. The typed
// handles that users write live in package layers; nothing here runs anything.
package graph

import (
	"fmt"
	"reflect"
	"time"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
)

// Kind tells nodes apart.
type Kind uint8

// The kinds of nodes.
const (
	Leaf          Kind = iota // Step
	Sequential                // Kids one after the other
	Parallel                  // Kids on the same input; Out is a slice of what they return
	Both                      // two Kids on the same input; Out is a struct of two fields
	Conditional               // Kids are a predicate, what runs if it is true, and what runs if not
	Delay                     // passes its input on after Wait; the branch is suspended
	BlockingDelay             // the same, but it holds a goroutine
	Retry                     // its Kid, again while it fails
)

var kindNames = [...]string{"step", "sequential", "parallel", "both", "conditional", "delay", "blocking delay", "retry"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Node is a step or a composite. It is immutable once it is part of another node or compiled.
type Node struct {
	Kind    Kind
	Name    string
	In, Out reflect.Type
	Kids    []*Node
	Step    kernel.Step   // of a Leaf
	Into    bool          // the Leaf's output cell is engine memory that it fills
	Wait    time.Duration // of a Delay or BlockingDelay
	Policy  RetryPolicy   // of a Retry
	Options []settings.Option
	Err     error // why it cannot be compiled
}

// With returns a copy of n with more options; those it has are further in.
func (n *Node) With(opts ...settings.Option) *Node {
	c := *n
	c.Options = append(n.Options[:len(n.Options):len(n.Options)], opts...)
	return &c
}

// label is the name that the node has in paths, "" for a Sequential that was not given one.
func (n *Node) label() string {
	name := n.Name
	for _, o := range n.Options {
		if o.Kind == settings.OptName {
			name = o.Text
		}
	}
	if name == "" && n.Kind == BlockingDelay {
		return Delay.String()
	}
	if name == "" && n.Kind != Sequential {
		return n.Kind.String()
	}
	return name
}

// branch returns the path round kid i of n, whose own is path.
func (n *Node) branch(path string, i int) string {
	switch {
	case n.Kind == Parallel || n.Kind == Both:
		return fmt.Sprintf("%s[%d]", path, i)
	case n.Kind == Conditional && i > 0:
		return path + [...]string{"[then]", "[else]"}[i-1]
	}
	return path
}

// version is what With(Version) says last, "" if nothing.
func (n *Node) version() (v string) {
	for _, o := range n.Options {
		if o.Kind == settings.OptVersion {
			v = o.Text
		}
	}
	return v
}

// delays reports whether n is a delay of either kind.
func (n *Node) delays() bool { return n.Kind == Delay || n.Kind == BlockingDelay }

func (n *Node) has(k settings.Kind) bool {
	for _, o := range n.Options {
		if o.Kind == k {
			return true
		}
	}
	return false
}

// reads appends the keys that steps below n read.
func (n *Node) reads(keys []*settings.Key) []*settings.Key {
	if n == nil {
		return keys
	}
	for _, o := range n.Options {
		if o.Kind == settings.OptReads {
			keys = append(keys, o.Any.([]*settings.Key)...)
		}
	}
	for _, k := range n.Kids {
		keys = k.reads(keys)
	}
	return keys
}

// CompileError says which module cannot be compiled and why.
type CompileError struct {
	Path string
	Err  error
}

func (e *CompileError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *CompileError) Unwrap() error { return e.Err }

func errorAt(path, format string, args ...any) error {
	return &CompileError{path, fmt.Errorf(format, args...)}
}
