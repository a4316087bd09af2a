//go:build !unix

package simd

import "testing"

// guarded returns plain memory where pages cannot be made inaccessible.
func guarded[T any](_ testing.TB, n int) (last, first []T) { return make([]T, n), make([]T, n) }
