// Package settings holds what a Module, Compile or a call can be told: options as plain values, typed
// keys and their values, limits of time, and the error of one that cannot hold. Package layers makes
// the options, graph and kernel obey them.
package settings

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"
)

// Kind tells options apart.
type Kind uint8

// The settings of a Module (With), of Compile and of a call.
const (
	OptNone        Kind = iota
	OptTimeout          // With, call: Word is a time.Duration
	OptDeadline         // With, call: At
	OptMetadata         // With, call: Name, Text
	OptAuth             // With, call: NewAuth makes it
	OptSet              // With, call: Key, Word or Any
	OptSetNamed         // With, call: Name, Any
	OptTrace            // call: Any is a *TraceHandle
	OptReads            // With: Any is a []*Key
	OptBlocking         // With
	OptComputing        // With
	OptPure             // With
	OptEffect           // With
	OptFresh            // With
	OptWaitAll          // With, of a Parallel
	OptName             // With: Text
	OptVersion          // With: Text
	OptMaxBlocking      // Compile: Word
	OptOn               // Compile: Any is a *sched.Sched
	OptSpread           // Compile, in tests: every Parallel goes to the crew
)

var optionNames = [...]string{"", "Timeout", "Deadline", "Metadata", "Auth", "Set", "Set", "Trace", "Reads",
	"Blocking", "Computing", "Pure", "Effect", "Fresh", "WaitAll", "Name", "Version", "MaxBlocking", "On", "Spread"}

func (k Kind) String() string {
	if int(k) < len(optionNames) {
		return optionNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Option is one setting: a plain value, so that options of a call stay on its stack. Package layers
// makes them. Printing one shows its name only, because it may carry credentials.
type Option struct {
	Kind Kind
	Key  *Key
	Word uint64
	At   time.Time
	Name string
	Text string
	Any  any
}

// Credentials keeps what Auth was given out of anything that prints or encodes what it is part of: fmt
// follows some pointers, but no function.
type Credentials struct {
	value func() any
}

// Value is what Auth was given.
func (c *Credentials) Value() any { return c.value() }

// NewAuth returns the option that sets what Auth returns.
func NewAuth(v any) Option {
	return Option{Kind: OptAuth, Any: &Credentials{func() any { return v }}}
}

func (o Option) String() string {
	switch o.Kind {
	case OptSet:
		if o.Key != nil {
			return "Set(" + o.Key.Name + ")"
		}
	case OptSetNamed, OptMetadata:
		return o.Kind.String() + "(" + o.Name + ")"
	}
	return o.Kind.String()
}

// Format keeps every verb from printing what the option carries.
func (o Option) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, o.String()) }

// MarshalText is String, for encoders.
func (o Option) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Key is a typed setting that steps read through their context; layers.Key is its typed handle. Two
// keys are the same if their pointers are.
type Key struct {
	Name string
	Type reflect.Type
	// Pack turns a value of Type into a Setting. Anything else is refused.
	Pack func(v any) (Setting, bool)
	// Unpack is the inverse of Pack.
	Unpack func(Setting) any
}

// Setting is a value of a Key: scalars in Word, everything else in Any.
type Setting struct {
	Key  *Key
	Word uint64
	Any  any
}

// Pair is one entry of metadata.
type Pair struct {
	Key, Value string
}

// Limit is a Timeout or a Deadline: one of After and At is set, or none.
type Limit struct {
	After time.Duration
	At    time.Time
}

// Add applies a Timeout or Deadline option to l. Two of a kind leave the smaller one.
func (l *Limit) Add(o Option) error {
	switch {
	case o.Kind == OptTimeout && int64(o.Word) <= 0:
		return fmt.Errorf("must be positive, is %v", time.Duration(o.Word))
	case o.Kind == OptDeadline && o.At.IsZero():
		return fmt.Errorf("is the zero time")
	case o.Kind == OptTimeout && !l.At.IsZero() || o.Kind == OptDeadline && l.After > 0:
		return fmt.Errorf("a Timeout and a Deadline exclude each other")
	case o.Kind == OptDeadline:
		if l.At.IsZero() || o.At.Before(l.At) {
			l.At = o.At
		}
	case l.After == 0 || time.Duration(o.Word) < l.After:
		l.After = time.Duration(o.Word)
	}
	return nil
}

// Call is what one call is told. Its memory is used again.
type Call struct {
	Limit    Limit
	Set      []Setting
	Metadata []Pair
	Auth     *Credentials
	Trace    any // what Trace was given
}

// Apply takes opts. keys are those that some step reads.
func (c *Call) Apply(opts []Option, keys []*Key) error {
	for i := range opts {
		o := &opts[i]
		switch o.Kind {
		case OptTimeout, OptDeadline:
			if err := c.Limit.Add(*o); err != nil {
				return &Error{Setting: o.Kind.String(), Reason: err.Error()}
			}
		case OptMetadata:
			c.Metadata = append(c.Metadata, Pair{o.Name, o.Text})
		case OptAuth:
			c.Auth, _ = o.Any.(*Credentials)
		case OptTrace:
			c.Trace = o.Any
		case OptSet, OptSetNamed:
			s, err := Resolve(o, keys)
			if err != nil {
				return err
			}
			c.Set = append(c.Set, s)
		case OptNone:
		default:
			return &Error{Setting: o.Kind.String(), Reason: "is no setting of a call"}
		}
	}
	return nil
}

// Reset forgets what the last call was told.
func (c *Call) Reset() {
	clear(c.Set)
	clear(c.Metadata)
	*c = Call{Set: c.Set[:0], Metadata: c.Metadata[:0]}
}

// Resolve resolves a Set option, by its key or by name, against the keys that some step reads.
func Resolve(o *Option, keys []*Key) (Setting, error) {
	if o.Kind == OptSet {
		if o.Key == nil {
			return Setting{}, &Error{Setting: o.Kind.String(), Reason: "the key was not made by NewKey"}
		}
		if !slices.Contains(keys, o.Key) {
			return Setting{}, &Error{Setting: o.Key.Name, Reason: "no step reads it: one that does says With(Reads(key))"}
		}
		return Setting{o.Key, o.Word, o.Any}, nil
	}
	for _, k := range keys {
		if k.Name == o.Name {
			s, ok := k.Pack(o.Any)
			if !ok {
				return s, &Error{Setting: k.Name, Reason: fmt.Sprintf("takes a %s, not a %T", k.Type, o.Any)}
			}
			return s, nil
		}
	}
	return Setting{}, &Error{Setting: o.Name, Reason: "no step reads it: one that does says With(Reads(key))"}
}

// Error is a setting that cannot hold: of a Module, of Compile or of a call. Path is empty for
// a setting of a call.
type Error struct {
	Path    string
	Setting string
	Reason  string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Setting + ": " + e.Reason
	}
	return e.Path + ": " + e.Setting + ": " + e.Reason
}
