package kernel

import (
	"context"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"
)

// OptionKind tells settings apart.
type OptionKind uint8

// The settings of a Module (With), of Compile and of a call.
const (
	OptNone        OptionKind = iota
	OptTimeout                // With, call: Word is a time.Duration
	OptDeadline               // With, call: At
	OptMetadata               // With, call: Name, Text
	OptAuth                   // With, call: NewAuth makes it
	OptSet                    // With, call: Key, Word or Any
	OptSetNamed               // With, call: Name, Any
	OptTrace                  // call: Any is a *TraceHandle
	OptReads                  // With: Any is a []*Key
	OptBlocking               // With
	OptComputing              // With
	OptPure                   // With
	OptEffect                 // With
	OptFresh                  // With
	OptWaitAll                // With, of a Parallel
	OptName                   // With: Text
	OptVersion                // With: Text
	OptMaxBlocking            // Compile: Word
	OptOn                     // Compile: Any is a *sched.Sched
)

var optionNames = [...]string{"", "Timeout", "Deadline", "Metadata", "Auth", "Set", "Set", "Trace", "Reads",
	"Blocking", "Computing", "Pure", "Effect", "Fresh", "WaitAll", "Name", "Version", "MaxBlocking", "On"}

func (k OptionKind) String() string {
	if int(k) < len(optionNames) {
		return optionNames[k]
	}
	return fmt.Sprintf("OptionKind(%d)", uint8(k))
}

// Option is one setting: a plain value, so that options of a call stay on its stack. Package layers
// makes them. Printing one shows its name only, because it may carry credentials.
type Option struct {
	Kind OptionKind
	Key  *Key
	Word uint64
	At   time.Time
	Name string
	Text string
	Any  any
}

// credentials keeps what Auth was given out of anything that prints or encodes what it is part of: fmt
// follows some pointers, but no function.
type credentials struct {
	value func() any
}

// NewAuth returns the option that sets what Auth returns.
func NewAuth(v any) Option {
	return Option{Kind: OptAuth, Any: &credentials{func() any { return v }}}
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

// Lookup returns the value of k that holds for the step of ctx: the call's, else the innermost
// With's, else an outer With's. It neither allocates nor pins.
func Lookup(ctx context.Context, k *Key) (Setting, bool) {
	c := stepContext(ctx)
	if c == nil {
		return Setting{}, false
	}
	v := c.look()
	for _, settings := range [...][]Setting{v.set, v.step.Settings} {
		for i := range settings {
			if settings[i].Key == k {
				return settings[i], true
			}
		}
	}
	return Setting{}, false
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

// limit is a Limit at work. Until somebody asks when it is due, only its beginning is known.
type limit struct {
	after time.Duration // 0: at holds
	beat  uint32        // at which it began
	at    int64         // on the scheduler's scale, or noDeadline
}

const noDeadline = math.MaxInt64
