package graph

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/maida-ai/gomai/kernel"
)

// The policy of a Retry that sets nothing: after 1, 2 and 4 seconds.
const (
	DefaultRetries = 3
	DefaultBase    = time.Second
)

// RetryPolicy says when a module that failed is run again. The zero value retries up to 3 times, after
// 1, 2 and 4 seconds, what may pass: see When.
type RetryPolicy struct {
	Max  int           // retries after the first attempt; 0: DefaultRetries
	Base time.Duration // wait before the first retry, doubled for each further one; 0: DefaultBase
	Cap  time.Duration // the longest wait; 0: no bound
	// Jitter takes a random part of each wait off, up to this share of it (0 to 1), so that callers who
	// failed together do not come back together.
	Jitter float64
	// When decides which errors are worth another attempt. It gets the *kernel.StepError of the step. nil:
	// a timeout of the step's own, and errors that have a method Temporary or Retryable which says true.
	When func(error) bool
}

// Check returns what is wrong with p.
func (p RetryPolicy) Check() error {
	switch {
	case p.Max < 0:
		return fmt.Errorf("the policy's Max must not be negative, is %d", p.Max)
	case p.Base < 0:
		return fmt.Errorf("the policy's Base must not be negative, is %v", p.Base)
	case p.Cap < 0:
		return fmt.Errorf("the policy's Cap must not be negative, is %v", p.Cap)
	case !(p.Jitter >= 0 && p.Jitter <= 1):
		return fmt.Errorf("the policy's Jitter must be from 0 to 1, is %v", p.Jitter)
	}
	return nil
}

// complete returns p with the defaults written out.
func (p RetryPolicy) complete() RetryPolicy {
	if p.Max == 0 {
		p.Max = DefaultRetries
	}
	if p.Base == 0 {
		p.Base = DefaultBase
	}
	if p.When == nil {
		p.When = Passing
	}
	return p
}

// wait is how long to wait before the next attempt after so many retries.
func (p RetryPolicy) wait(retries int) time.Duration {
	d := p.Base
	for range retries {
		if d >= 1<<62 {
			break
		}
		d *= 2
	}
	if p.Cap > 0 {
		d = min(d, p.Cap)
	}
	if p.Jitter > 0 {
		d -= time.Duration(float64(d) * p.Jitter * rand.Float64())
	}
	return d
}

func (p RetryPolicy) kernel() *kernel.Retry {
	p = p.complete()
	return &kernel.Retry{Max: p.Max, Delay: p.wait, Again: p.When}
}

// Passing reports whether err may be gone at the next attempt: it is a timeout, or says of itself that it
// is Temporary or Retryable. It is what a RetryPolicy asks without a When.
func Passing(err error) bool {
	var panicked *kernel.PanicError
	if errors.As(err, &panicked) {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var temporary interface{ Temporary() bool }
	if errors.As(err, &temporary) && temporary.Temporary() {
		return true
	}
	var retryable interface{ Retryable() bool }
	return errors.As(err, &retryable) && retryable.Retryable()
}

// retryForm is the JSON form of a policy.
type retryForm struct {
	Max    int     `json:"max"`
	Base   string  `json:"base"`
	Cap    string  `json:"cap,omitempty"`
	Jitter float64 `json:"jitter,omitempty"`
}

func (p RetryPolicy) form() *retryForm {
	p = p.complete()
	f := &retryForm{Max: p.Max, Base: p.Base.String(), Jitter: p.Jitter}
	if p.Cap > 0 {
		f.Cap = p.Cap.String()
	}
	return f
}
