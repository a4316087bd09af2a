package cpu

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Variant is code of a primitive for one level.
type Variant struct {
	Level Level
	Needs Feature // beside the level
}

// Primitive knows the variants of a primitive and which of them runs. The switches ask it, and so does
// whoever tells a user, so that what is told is what runs.
type Primitive struct {
	Name     string
	Variants []Variant // best first, plain Go left out

	// The variant that runs: the level in the lowest byte, the features in the next. Atomic, because
	// Disable may come while primitives run; on amd64 that is an ordinary load.
	choice atomic.Uint32
}

var primitives []*Primitive

// Implement registers a primitive, when its package is initialised, with its variants, best first.
// Plain Go is understood.
func Implement(name string, variants ...Variant) *Primitive {
	mu.Lock()
	defer mu.Unlock()
	p := &Primitive{Name: name, Variants: variants}
	p.choose()
	primitives = append(primitives, p)
	return p
}

// Level returns the level of the variant that runs; Generic stands for plain Go.
func (p *Primitive) Level() Level { return Level(p.choice.Load()) }

// Variant returns the variant that runs, for primitives that have two of one level.
func (p *Primitive) Variant() Variant {
	c := p.choice.Load()
	return Variant{Level: Level(c), Needs: Feature(c >> 8)}
}

// Unused is a variant that does not run, and why.
type Unused struct {
	Variant
	Reason string
}

// Better returns the variants that are better than the one that runs.
func (p *Primitive) Better() []Unused {
	mu.Lock()
	defer mu.Unlock()
	var better []Unused
	for _, v := range p.Variants {
		reason := v.whyNot()
		if reason == "" {
			break
		}
		better = append(better, Unused{v, reason})
	}
	return better
}

// Primitives returns all that were registered, in order of their names.
func Primitives() []*Primitive {
	mu.Lock()
	defer mu.Unlock()
	return slices.SortedFunc(slices.Values(primitives), func(a, b *Primitive) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// choose takes the first variant that can run.
func (p *Primitive) choose() {
	var best Variant
	for _, v := range p.Variants {
		if v.whyNot() == "" {
			best = v
			break
		}
	}
	p.choice.Store(uint32(best.Level) | uint32(best.Needs)<<8)
}

// whyNot returns why the variant cannot run, "" if it can.
func (v Variant) whyNot() string {
	if reason := whyNot(v.Level); reason != "" {
		return reason
	}
	if missing := v.Needs &^ features; missing != 0 {
		return "the CPU lacks " + missing.String()
	}
	if unused := v.Needs & hidden; unused != 0 {
		return "lowered by " + lowered
	}
	return ""
}
