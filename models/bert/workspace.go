package bert

import (
	"runtime"
	"unsafe"

	"github.com/maida-ai/gomai/simd"
)

// workspace is the memory of one Forward.
type workspace struct {
	tokens   int
	hidden   []float32 // (tokens, hidden), what a layer reads and writes
	query    []float32 // (tokens, hidden); later the output of the two blocks
	key      []float32 // (tokens, hidden)
	value    []float32 // (tokens, hidden)
	attended []float32 // (tokens, hidden)
	up       []float32 // (tokens, intermediate)
	scores   []float32 // (rowTile, tokens)
	keys     []float32 // of one head, packed
	values   []float32 // of one head, transposed and packed
	memory   []float32 // holds all of them
	input    []float32 // what the next products read

	// Of layers in bfloat16, made when the first one reads: what products read, rounded, and packed,
	// and sums before the bias.
	rounded, rows []simd.BFloat16
	sums          []float32

	observer *observer // nil but while the ranges for int8 layers are found
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
	w.tokens = tokens
	hidden, d := tokens*c.HiddenSize, c.HiddenSize/c.Heads
	sizes := [...]int{
		hidden, hidden, hidden, hidden, hidden, tokens * c.IntermediateSize, rowTile * tokens,
		simd.PackedF32Size(tokens, d), simd.PackedF32Size(d, tokens),
	}
	total := 0
	for _, n := range sizes {
		total += roundUp(n)
	}
	if len(w.memory) < total {
		w.memory = aligned(total)
	}
	rest := w.memory
	for i, part := range [...]*[]float32{
		&w.hidden, &w.query, &w.key, &w.value, &w.attended, &w.up, &w.scores, &w.keys, &w.values,
	} {
		*part, rest = rest[:sizes[i]:sizes[i]], rest[roundUp(sizes[i]):]
	}
}

// align is the number of floats in a cache line.
const align = 16

func roundUp(n int) int { return (n + align - 1) / align * align }

// aligned makes a slice that starts on a cache line, which is faster: simd loads whole lines.
func aligned(n int) []float32 {
	v := make([]float32, n+align-1)
	skip := 0
	for uintptr(unsafe.Pointer(unsafe.SliceData(v[skip:])))%(4*align) != 0 {
		skip++
	}
	return v[skip : skip+n : skip+n]
}
