//go:build amd64 && !noasm

package quant

import (
	"context"
	"unsafe"

	"github.com/maida-ai/gomai/internal/cpu"
)

// product is what the assembly of a matrix product gets, of one to three panels of columns and some blocks
// of rows: fields of eight bytes, read in this order by the generator. The assembly goes on by blocks in them.
type product struct {
	a      *uint8 // first block of rows
	aStep  int    // bytes from one block to the next, as all steps
	w      *int8  // first panel
	wStep  int
	turns  int // of the loop, kTurn k each; at least 1
	blocks int // at least 1

	scale, offset, bias *float32 // of the columns; offset may be nil
	rowScale, rowLow    *float32 // of the rows; no rowLow without offset

	kind    productKind
	dst     [maxPanels]unsafe.Pointer // of each panel, in the first block
	dstStep int
	places  *int // of each block in dst: of keys and values alone, for which dstStep is 0

	greatest *int16      // of the first block, for inner activations, as table and shift
	table    *[128]uint8 // of the activation
	shift    uint64

	next      *int8 // the panels that will be multiplied next
	nextBytes int   // of them
	nextStep  int   // from one to the next
	rate      int   // lines of them to fetch in each turn of the loop; streamRate: as they come
}

// productKind says what becomes of sums.
type productKind int

const (
	toQueries      productKind = iota // bytes
	toKeys                            // signed bytes
	toValues                          // signed bytes, transposed
	toState                           // added to float32
	toInner                           // 16-bit quanta of the activation, by VBMI
	toInnerByWords                    // the same without it
)

const (
	maxPanels = 3
	kTurn     = 16 // how many k one turn of the loop takes

	// The rates of prefetching: so many lines a turn for the panels that come next, or those that are
	// multiplied, shortly before they are.
	maxRate    = 6
	streamRate = 12
)

// maxWork is how many multiplications are made between two questions to a context, and in one call of
// assembly, which the scheduler cannot interrupt: about 20 us of them. Tests change it.
var maxWork = 8 << 20

func (w *Workspace) hasProducts() bool { return w.level != cpu.Generic }

// widest is how many panels of columns a level computes at once.
func widest(level cpu.Level) int {
	if level == cpu.AVX512VNNI {
		return maxPanels
	}
	return 1
}

// slower is how many times longer a level takes to multiply than that of maxWork.
func slower(level cpu.Level) int {
	switch level {
	case cpu.AVXVNNI:
		return 2
	case cpu.AVX2:
		return 4
	}
	return 1
}

// stage is a matrix product of all columns of a Linear.
type stage struct {
	product    // what all panels have in common
	level      cpu.Level
	linear     *Linear
	k          int
	follows    *Linear // what will be multiplied next; nil if that is not known
	followsK   int
	sinceAsked int // multiplications since the context was asked
}

// destination says where the panels of some columns go: to place + column/together*apart +
// column%together/16*panel, all in bytes.
type destination struct {
	place           unsafe.Pointer
	together, apart int
	panel           int
}

func (d destination) at(column int) unsafe.Pointer {
	return unsafe.Add(d.place, column/d.together*d.apart+column%d.together/lanes*d.panel)
}

// run computes columns from first to end, which are those of d from 0 on.
func (s *stage) run(ctx context.Context, first, end int, d destination) error {
	s.wStep, s.turns = lanes*s.k, s.k/kTurn
	for j := first; j < end; {
		panels := min(widest(s.level), (end-j)/lanes)
		p := s.product
		p.w, p.scale, p.bias = &s.linear.Weights[j*s.k], &s.linear.Scale[j], &s.linear.Bias[j]
		if s.linear.Offset != nil {
			p.offset = &s.linear.Offset[j]
		}
		for i := range panels {
			p.dst[i] = d.at(j - first + lanes*i)
		}
		j += lanes * panels
		s.prefetch(&p, j, end)
		if err := s.call(ctx, &p, panels); err != nil {
			return err
		}
	}
	return nil
}

// prefetch says which panels p should fetch while it multiplies: those from column j on, of which the part
// that is computed has columns up to end, or the first ones that follow.
func (s *stage) prefetch(p *product, j, end int) {
	switch {
	case j < len(s.linear.Scale):
		if j == end {
			end = len(s.linear.Scale)
		}
		p.next, p.nextStep = &s.linear.Weights[j*s.k], p.wStep
		p.nextBytes = min(maxPanels*lanes, end-j) * s.k
	case s.follows != nil:
		p.next, p.nextStep = &s.follows.Weights[0], lanes*s.followsK
		p.nextBytes = min(maxPanels*lanes, len(s.follows.Scale)) * s.followsK
	default:
		p.next = p.w
	}
	tiles := (s.blocks + 1) / 2
	p.rate = streamRate
	if tiles > 1 {
		turns := tiles * p.turns
		p.rate = min(maxRate, (p.nextBytes/lineBytes+turns-1)/turns)
	}
}

// call multiplies one strip of panels, in as many calls as it takes.
func (s *stage) call(ctx context.Context, p *product, panels int) error {
	each := blockRows * lanes * panels * s.k // of a block
	work := maxWork / slower(s.level)
	most := max(work/each&^1, 2)
	for b := 0; b < s.blocks; b += most {
		// The assembly moves pointers beyond what they point into: nobody may see them afterwards.
		part := p.from(b)
		part.blocks = min(s.blocks-b, most)
		if s.sinceAsked += part.blocks * each; s.sinceAsked > work {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.sinceAsked = 0
		}
		switch {
		case s.level == cpu.AVXVNNI:
			product16AVXVNNI(&part)
		case s.level == cpu.AVX2:
			product16AVX2(&part)
		case panels == 3:
			product48AVX512VNNI(&part)
		case panels == 2:
			product32AVX512VNNI(&part)
		default:
			product16AVX512VNNI(&part)
		}
	}
	return nil
}

// from returns the product from block b on.
func (p *product) from(b int) product {
	q := *p
	if b == 0 {
		return q
	}
	q.a = (*uint8)(unsafe.Add(unsafe.Pointer(q.a), b*q.aStep))
	for i, dst := range q.dst {
		if dst != nil {
			q.dst[i] = unsafe.Add(dst, b*q.dstStep)
		}
	}
	q.rowScale = later(q.rowScale, b*blockRows)
	q.rowLow = later(q.rowLow, b*blockRows)
	q.places = later(q.places, b)
	q.greatest = later(q.greatest, b*blockRows*lanes)
	return q
}

// later returns where an element n later stands, nil if there are none.
func later[T any](p *T, n int) *T {
	if p == nil {
		return nil
	}
	return (*T)(unsafe.Add(unsafe.Pointer(p), n*int(unsafe.Sizeof(*p))))
}

func (w *Workspace) projectFast(ctx context.Context, first, end int, l *Layer) error {
	h, size := w.shape.Hidden, w.shape.HeadSize()
	head := w.keys16 * keyBlock * size
	for b := first; b < end; b += SuperBlock {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := stage{level: w.level, linear: &l.QKV, k: h, follows: &l.Out, followsK: h}
		s.blocks = min(SuperBlock, end-b)
		s.a, s.aStep = &w.activations[bytesAt(h, b, 0, 0)], bytesAt(h, 1, 0, 0)
		s.rowScale, s.rowLow = &w.rowScale[b*blockRows], &w.rowLow[b*blockRows]
		s.kind, s.dstStep = toQueries, bytesAt(h, 1, 0, 0)
		queries := destination{unsafe.Pointer(&w.queries[bytesAt(h, b, 0, 0)]), h, 0, 4 * lanes}
		if err := s.run(ctx, 0, h, queries); err != nil {
			return err
		}
		s.kind, s.dstStep, s.places = toKeys, 0, &w.keyPlaces[b]
		keys := destination{unsafe.Pointer(&w.keys[0]), size, head, keyBlock * lanes}
		if err := s.run(ctx, h, 2*h, keys); err != nil {
			return err
		}
		s.kind, s.places = toValues, &w.valuePlaces[b]
		values := destination{unsafe.Pointer(&w.values[0]), size, head, 4 * lanes}
		if err := s.run(ctx, 2*h, 3*h, values); err != nil {
			return err
		}
	}
	return nil
}

func (w *Workspace) outFast(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	h := w.shape.Hidden
	p := stage{level: w.level, linear: &l.Out, k: h, follows: &l.Up, followsK: h}
	p.a, p.aStep = &s.contextBytes[0], bytesAt(h, 1, 0, 0)
	p.rowScale, p.rowLow = &s.contextScale[0], &s.contextLow[0]
	return w.addFast(ctx, &p, first, end)
}

// addFast adds a product to the states.
func (w *Workspace) addFast(ctx context.Context, p *stage, first, end int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h := w.shape.Hidden
	p.blocks = end - first
	p.kind, p.dstStep = toState, 4*blockRows*h
	return p.run(ctx, 0, h, destination{unsafe.Pointer(&w.state[w.stateAt(first, 0, 0)]), h, 0, 4 * blockRows * lanes})
}

func (w *Workspace) innerQuantaFast(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, n := w.shape.Hidden, w.shape.Inner
	p := stage{level: w.level, linear: &l.Up, k: h, follows: &l.Down, followsK: n}
	p.blocks = end - first
	p.a, p.aStep = &w.activations[bytesAt(h, first, 0, 0)], bytesAt(h, 1, 0, 0)
	p.rowScale, p.rowLow = &w.rowScale[first*blockRows], &w.rowLow[first*blockRows]
	if p.kind = toInner; !w.vbmi {
		p.kind = toInnerByWords
	}
	p.dstStep = 2 * blockRows * n
	p.greatest, p.table, p.shift = &s.innerMax[0], &l.Activation.Table, uint64(l.Activation.Shift)
	return p.run(ctx, 0, n, destination{unsafe.Pointer(&s.inner[0]), n, 0, 2 * blockRows * lanes})
}

func (w *Workspace) downFast(ctx context.Context, s *Scratch, first, end int, l *Layer) error {
	n := w.shape.Inner
	p := stage{level: w.level, linear: &l.Down, k: n}
	p.a, p.aStep = &s.innerBytes(n, 0)[0], 2*blockRows*n
	p.rowScale = &s.innerScale[0]
	return w.addFast(ctx, &p, first, end)
}

//go:noescape
func product48AVX512VNNI(p *product)

//go:noescape
func product32AVX512VNNI(p *product)

//go:noescape
func product16AVX512VNNI(p *product)

//go:noescape
func product16AVXVNNI(p *product)

//go:noescape
func product16AVX2(p *product)
