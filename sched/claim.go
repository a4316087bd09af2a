package sched

// claim is the word that hands out the items of a job: generation:32 | hi:16 | lo:16. The items lo to
// hi-1 are free; the owner takes from the low end, thieves from the high end, each by one
// compare-and-swap. With the generation no two words of a slot are the same, so what a thief made of a
// word before it fell asleep comes to nothing when it wakes up in a later job.
//
// The transitions are pure functions: the model checker in claim_test.go runs these, not copies.
type claim uint64

// maxItems is how many items a job can have.
const maxItems = 1<<16 - 1

// publish begins the next generation.
func (c claim) publish(items int) claim { return (c>>32+1)<<32 | claim(items)<<16 }

func (c claim) lo() int   { return int(c & maxItems) }
func (c claim) hi() int   { return int(c >> 16 & maxItems) }
func (c claim) free() int { return c.hi() - c.lo() }

// low takes the lowest free item.
func (c claim) low() (next claim, item int, ok bool) { return c + 1, c.lo(), c.free() > 0 }

// high takes the highest free item.
func (c claim) high() (next claim, item int, ok bool) { return c - 1<<16, c.hi() - 1, c.free() > 0 }

// rest takes all free items, as if the owner had taken them one by one.
func (c claim) rest() (next claim, items int, ok bool) {
	return c + claim(c.free()), c.free(), c.free() > 0
}
