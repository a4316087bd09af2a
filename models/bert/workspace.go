package bert

import "runtime"

// workspace is the memory of one Forward.
type workspace struct {
	tokens, stride int       // stride: tokens rounded up, so that rows of token columns stay aligned
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
	const align = 16
	w.tokens, w.stride = tokens, (tokens+align-1)/align*align
	sizes := [...]int{
		tokens * c.HiddenSize, tokens * c.HiddenSize, c.HiddenSize * w.stride,
		tokens * c.HiddenSize, tokens * c.IntermediateSize, rowTile * w.stride,
	}
	total := 0
	for _, n := range sizes {
		total += n
	}
	if len(w.memory) < total {
		w.memory = make([]float32, total)
	}
	rest := w.memory
	for i, part := range [...]*[]float32{&w.query, &w.key, &w.value, &w.attended, &w.up, &w.scores} {
		*part, rest = rest[:sizes[i]:sizes[i]], rest[sizes[i]:]
	}
}
