//go:build !race

package testmodel

const race = false
