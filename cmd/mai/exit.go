package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/distill"
	"github.com/maida-ai/gomai/models/tokenizer"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInput       = 3
	exitInterrupted = 130
)

// usageError is a mistake in the command line that only the command itself can see.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// inputError says where a file of texts is bad.
type inputError struct {
	File string
	Line int // from 1; 0 if the error has no place in the file
	Err  error
}

func (e *inputError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s: line %d: %v", e.File, e.Line, e.Err)
}

func (e *inputError) Unwrap() error { return e.Err }

// exitCode classifies err. All errors that come before the command runs are cobra's, about usage.
func exitCode(ctx context.Context, err error, parsed bool) int {
	var usage usageError
	var option *models.OptionError
	var distilOption *distill.OptionError
	var input *inputError
	var model *models.FormatError
	var tokens *tokenizer.Error
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case !parsed || errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &input) || errors.As(err, &model) || errors.As(err, &tokens):
		return exitInput
	case errors.As(err, &option) || errors.As(err, &distilOption):
		return exitUsage // an option that this model does not take
	}
	return exitFailed
}
