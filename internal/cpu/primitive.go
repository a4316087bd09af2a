package cpu

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
	level    Level
}

var primitives []*Primitive

// Implement registers a primitive, when its package is initialised, with its variants, best first.
// Plain Go is understood.
func Implement(name string, variants ...Variant) *Primitive {
	p := &Primitive{Name: name, Variants: variants}
	p.choose()
	primitives = append(primitives, p)
	return p
}

// Level returns the level of the variant that runs; Generic stands for plain Go.
func (p *Primitive) Level() Level { return p.level }

// Primitives returns all that were registered.
func Primitives() []*Primitive { return primitives }

// choose takes the first variant that the level and the features allow. A variant may run if the
// machine has its level and it is not above the one that is active.
func (p *Primitive) choose() {
	p.level = Generic
	for _, v := range p.Variants {
		if runs(v.Level) && features&v.Needs == v.Needs {
			p.level = v.Level
			return
		}
	}
}

func runs(l Level) bool {
	if l > active {
		return false
	}
	for _, have := range levels {
		if have == l {
			return true
		}
	}
	return false
}
