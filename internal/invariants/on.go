//go:build invariants

// Package invariants says whether the build tag of that name is set: released memory is poisoned, no
// step context is recycled, and Into steps are checked for storing their input.
package invariants

// On is true with -tags invariants.
const On = true
