//go:build noasm

package testmodel

const noasm = true
