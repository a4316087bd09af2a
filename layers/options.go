package layers

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/maida-ai/gomai/internal/settings"
	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/sched"
)

// Option is a setting of a Module (With), of Compile or of a call. One that is given where it means
// nothing is an error.
type Option = settings.Option

// TraceHandle receives what a call did, step by step.
type TraceHandle = kernel.TraceHandle

// Marks of a Module. On a composite they hold for the steps in it that have none of their own.
var (
	// Blocking marks a step that waits for something. Under a deadline, under a context that can be
	// cancelled, or in a Parallel it runs on the scheduler's lane, and its caller is back at the
	// deadline even if the function ignores its ctx. Input that holds pointers other than slices,
	// strings and times is then shared with such an abandoned run: do not change it afterwards.
	Blocking = Option{Kind: settings.OptBlocking}
	// Computing marks a step that only computes. It runs on the caller, who waits for it: a result that
	// comes after the deadline is dropped.
	Computing = Option{Kind: settings.OptComputing}
	// Pure marks a step whose result depends on its input alone and that changes nothing.
	Pure = Option{Kind: settings.OptPure}
	// Effect marks a step that changes something outside: it is never run twice or moved.
	Effect = Option{Kind: settings.OptEffect}
	// Fresh marks a step whose result shares no memory with its input, where its types do not say so.
	Fresh = Option{Kind: settings.OptFresh}
	// WaitAll lets a Parallel or Both wait for all branches; its error is the first one by index.
	WaitAll = Option{Kind: settings.OptWaitAll}
)

// Timeout limits a Module, or a call, to d from its start. A call's replaces that of the root Module;
// below the root, and against the deadline of the context, the earliest holds. It is never early, and
// late by two milliseconds at the most where the caller need not wait for a computing step.
func Timeout(d time.Duration) Option { return Option{Kind: settings.OptTimeout, Word: uint64(d)} }

// Deadline is Timeout with a point in time. A Module or call has one of the two.
func Deadline(t time.Time) Option { return Option{Kind: settings.OptDeadline, At: t} }

// Metadata sets an entry of metadata: steps read it with kernel.Metadata, and calls of other engines
// that they make inherit it.
func Metadata(key, value string) Option {
	return Option{Kind: settings.OptMetadata, Name: key, Text: value}
}

// Auth sets what kernel.Auth returns. Errors, traces and Explain never print it.
func Auth(v any) Option { return settings.NewAuth(v) }

// Trace lets a call fill t.
func Trace(t *TraceHandle) Option { return Option{Kind: settings.OptTrace, Any: t} }

// Name sets the name of a Module in paths; of several the outermost holds.
func Name(name string) Option { return Option{Kind: settings.OptName, Text: name} }

// Version gives a step, together with its name, an identity: a plan whose steps all have one has a hash.
// Change it when the step's results change. That of a Conditional covers its predicate.
func Version(v string) Option { return Option{Kind: settings.OptVersion, Text: v} }

// MaxBlocking bounds the steps that an engine has on the lane at once; beyond it they fail with
// sched.ErrOverloaded. It is an option of Compile.
func MaxBlocking(n int) Option { return Option{Kind: settings.OptMaxBlocking, Word: uint64(n)} }

// On chooses the scheduler; sched.Default() otherwise. It is an option of Compile. In a testing/synctest
// bubble, give an engine one that is made and closed there.
func On(s *sched.Sched) Option { return Option{Kind: settings.OptOn, Any: s} }

// Set is the dynamic door to a Key, for settings that come as data: v must have the key's type.
func Set(name string, v any) Option { return Option{Kind: settings.OptSetNamed, Name: name, Any: v} }

// AnyKey is a Key of any type.
type AnyKey interface{ raw() *settings.Key }

// Reads declares which keys a step reads. Setting a key that no step below reads is an error.
func Reads(keys ...AnyKey) Option {
	raw := make([]*settings.Key, len(keys))
	for i, k := range keys {
		raw[i] = k.raw()
	}
	return Option{Kind: settings.OptReads, Any: raw}
}

// Key is a typed setting of steps, each of which declares with With(Reads(key)) that it reads it: the call's value holds, else the innermost With's, else an outer
// With's, else the key's default. Booleans and numbers cost no allocation. Keys of one name and type
// are one key.
type Key[T any] struct {
	key    *settings.Key
	def    T
	scalar bool
}

// keys holds every settings.Key, by name and type.
var keys sync.Map

type keyID struct {
	name string
	typ  reflect.Type
}

// NewKey returns the key called name. Make it once, as a package variable.
func NewKey[T any](name string, def T) Key[T] {
	k := Key[T]{def: def, scalar: isScalar(reflect.TypeFor[T]().Kind())}
	raw := &settings.Key{
		Name: name,
		Type: reflect.TypeFor[T](),
		Pack: func(v any) (settings.Setting, bool) {
			t, ok := v.(T)
			o := k.Set(t)
			return settings.Setting{Key: k.key, Word: o.Word, Any: o.Any}, ok
		},
		Unpack: func(s settings.Setting) any { return k.value(s) },
	}
	k.key = raw
	if old, ok := keys.LoadOrStore(keyID{name, raw.Type}, raw); ok {
		k.key = old.(*settings.Key)
	}
	return k
}

// isScalar reports whether values of a kind fit in a word and hold no pointer.
func isScalar(k reflect.Kind) bool { return k >= reflect.Bool && k <= reflect.Float64 }

func (k Key[T]) raw() *settings.Key { return k.key }

func (k Key[T]) String() string {
	if k.key == nil {
		return "no key"
	}
	return fmt.Sprintf("%s %s", k.key.Name, k.key.Type)
}

// Set returns the option that sets k to v.
func (k Key[T]) Set(v T) Option {
	o := Option{Kind: settings.OptSet, Key: k.key}
	if k.scalar {
		*(*T)(unsafe.Pointer(&o.Word)) = v
	} else {
		o.Any = v
	}
	return o
}

// Get returns the value that holds for the step of ctx.
func (k Key[T]) Get(ctx context.Context) T {
	s, ok := kernel.Lookup(ctx, k.key)
	if !ok {
		return k.def
	}
	return k.value(s)
}

func (k Key[T]) value(s settings.Setting) T {
	if k.scalar {
		return *(*T)(unsafe.Pointer(&s.Word))
	}
	v, _ := s.Any.(T)
	return v
}
