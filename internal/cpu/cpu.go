// Package cpu decides which level of the primitives runs: the best one that this processor has, unless
// MAI_CPU lowers it. It computes nothing itself. So far there is one level, plain Go.
package cpu

import (
	"fmt"
	"os"
)

// Level is a set of instructions that primitives are written for.
type Level string

// Generic is plain Go: every machine has it.
const Generic Level = "generic"

// Env is the variable that lowers the level.
const Env = "MAI_CPU"

// Error says that MAI_CPU asks for a level that cannot run.
type Error struct {
	Value string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s=%s: no such level on this machine; it has %s", Env, e.Value, Generic)
}

// Detect returns the level that runs. A value of MAI_CPU that this machine cannot follow is an *Error,
// never ignored: whoever sets it wants to know what was measured.
func Detect() (Level, error) {
	if v := os.Getenv(Env); v != "" && v != string(Generic) {
		return Generic, &Error{Value: v}
	}
	return Generic, nil
}
