package bert

import (
	"runtime"
	"unsafe"
)

// workspace is the memory of one Forward.
type workspace struct {
	tokens, stride int       // stride: tokens rounded up, so that rows of token columns stay aligned
	hidden         []float32 // (tokens, hidden), what a layer reads and writes
	query          []float32 // (tokens, hidden); later the output of the two blocks
	key            []float32 // (tokens, hidden)
	value          []float32 // (hidden, stride), transposed
	attended       []float32 // (tokens, hidden)
	up             []float32 // (tokens, intermediate)
	scores         []float32 // (rowTile, stride)
	memory         []float32 // holds all of them
}

// workspaces keeps the memory of past calls, as many as can run at once. A channel and not a
// sync.Pool: the garbage collector empties a pool.
type workspaces chan *workspace

func newWorkspaces() workspaces { return make(workspaces, runtime.GOMAXPROCS(0)) }

func (f workspaces) get(c *Config, tokens int) *workspace {
	var w *workspace
	select {
	case w = <-f:
	default:
		w = new(workspace)
	}
	w.resize(c, tokens)
	return w
}

func (f workspaces) put(w *workspace) {
	select {
	case f <- w:
	default:
	}
}

func (w *workspace) resize(c *Config, tokens int) {
	w.tokens, w.stride = tokens, (tokens+align-1)/align*align
	sizes := [...]int{
		tokens * c.HiddenSize, tokens * c.HiddenSize, tokens * c.HiddenSize, c.HiddenSize * w.stride,
		tokens * c.HiddenSize, tokens * c.IntermediateSize, rowTile * w.stride,
	}
	total := 0
	for _, n := range sizes {
		total += n
	}
	if len(w.memory) < total {
		w.memory = aligned(total)
	}
	rest := w.memory
	for i, part := range [...]*[]float32{&w.hidden, &w.query, &w.key, &w.value, &w.attended, &w.up, &w.scores} {
		*part, rest = rest[:sizes[i]:sizes[i]], rest[sizes[i]:]
	}
}

// align is the number of floats in a cache line.
const align = 16

// aligned makes a slice that starts on a cache line. gonum's dot product sums in an order that
// depends on where its second operand lies within 16 bytes, so without this the last bits of a
// vector would depend on where the allocator, or the file's header, happened to put things.
func aligned(n int) []float32 {
	v := make([]float32, n+align-1)
	skip := 0
	for !isAligned(v[skip:]) {
		skip++
	}
	return v[skip : skip+n : skip+n]
}

func isAligned(v []float32) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(v)))%(4*align) == 0
}
