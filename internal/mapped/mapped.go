// Package mapped gives the bytes of a file without copying them, where the system can. What they mean is
// the business of models/ and metrics/.
package mapped
