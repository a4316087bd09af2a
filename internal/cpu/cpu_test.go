package cpu

import (
	"errors"
	"testing"
)

func TestDetect(t *testing.T) {
	for value, ok := range map[string]bool{"": true, "generic": true, "GENERIC": false, "avx9": false} {
		t.Setenv(Env, value)
		level, err := Detect()
		var bad *Error
		if level != Generic || (err == nil) != ok || !ok && (!errors.As(err, &bad) || bad.Value != value) {
			t.Errorf("%s=%q: %v, %v", Env, value, level, err)
		}
	}
}
