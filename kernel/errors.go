package kernel

import (
	"errors"
	"fmt"

	"github.com/maida-ai/gomai/internal/settings"
)

var (
	// ErrClosed is returned by a call that comes after its engine was closed.
	ErrClosed = errors.New("engine is closed")
	// ErrGoexit is the error of a blocking step that called runtime.Goexit.
	ErrGoexit = errors.New("the step called runtime.Goexit")
	// ErrAbandoned is the error of a Span whose step was left alone, because its call or its branch of a
	// WaitAll Parallel ended first.
	ErrAbandoned = errors.New("abandoned: the call ended first")
)

// StepError is the error of a call: the path of the step and what went wrong there.
type StepError struct {
	Path string
	Err  error
}

func (e *StepError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// PanicError is a panic of a step, turned into an error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprint("panic: ", e.Value) }

// Unwrap returns the value of the panic if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// SettingError is a setting that cannot hold: of a Module, of Compile or of a call. Path is empty for
// a setting of a call.
type SettingError = settings.Error
