package search

import (
	"context"

	"github.com/maida-ai/gomai/types"
)

// Searcher compares queries with the rows of matrices. The zero value compares by cosine, on the
// caller's goroutine.
//
// It keeps the memory that a search needs, so that a search allocates nothing unless it wants more
// than those before it: a few KiB, and with a Runner as much for each of up to 64 pieces of the rows.
// It is for one goroutine at a time and must not be copied after its first search.
//
// In all searches the query is of the space of the rows, a *types.SpaceError says otherwise, and has
// their dimension: float32 components for rows of any kind, quanta for I8 or signs for Binary. ctx is
// asked before each 2048 rows; the error is that of ctx then. Settings and arguments that make no
// sense are an *ArgumentError.
//
// A model that has a prompt for queries gives them a space of their own. Whoever knows that the rows are
// its documents sets the Space of the query to that of the matrix.
type Searcher struct {
	Metric Metric
	Filter []uint64     // rows to look at: bit i%64 of word i/64 is row i; nil is all, otherwise a bit for each row of the matrix
	Runner types.Runner // spreads a search over goroutines

	query   query
	job     job
	workers []*worker
	run     func(i int) // s.work, made once
	first   []Hit       // of TopKRerank
}

// job is what the workers of a search have in common.
type job struct {
	ctx    context.Context
	m      *Matrix
	metric Metric
	rows   Range
	each   int       // rows of a worker
	scores []float32 // of Scan
}

const (
	// chunkRows are looked at between two looks at ctx.
	chunkRows = 2048
	// blockRows are compared by one call of a primitive, whose results stay in the first-level cache.
	blockRows = 1024
	// A worker has at least workerBytes of components, so that it is worth a goroutine.
	workerBytes = 1 << 20
	maxWorkers  = 64
)

// Scan writes the score of each row of the range to dst, which is as long as the range. A row that the
// Filter leaves out has a score of NaN.
func (s *Searcher) Scan(ctx context.Context, m *Matrix, rows Range, q *types.Embedding, dst []float32) error {
	defer s.release()
	if err := s.begin(ctx, m, s.Metric, rows, q); err != nil {
		return err
	}
	if len(dst) != rows.To-rows.From {
		return badArgument("dst", "of length %d for %d rows", len(dst), rows.To-rows.From)
	}
	s.job.scores = dst
	return s.spread(0, nil)
}

// TopK writes the best rows of the range to dst, the best first, and returns how many there are:
// len(dst), or fewer if the range, less what the Filter leaves out, has fewer rows. After an error
// what dst holds is undefined.
func (s *Searcher) TopK(ctx context.Context, m *Matrix, rows Range, q *types.Embedding, dst []Hit) (int, error) {
	defer s.release()
	if err := s.begin(ctx, m, s.Metric, rows, q); err != nil {
		return 0, err
	}
	return s.topK(dst)
}

// TopKRerank finds the best candidates of the range in coarse, a quick matrix, and writes the best of
// them by their scores in exact to dst, as TopK does. Both hold the same rows, in the same order. A
// Binary coarse matrix is compared by Hamming, whatever the Metric.
func (s *Searcher) TopKRerank(ctx context.Context, coarse, exact *Matrix, rows Range, q *types.Embedding, candidates int, dst []Hit) (int, error) {
	defer s.release()
	if coarse.rows != exact.rows || coarse.dim != exact.dim {
		return 0, badArgument("coarse", "(%d, %d), but exact is (%d, %d)", coarse.rows, coarse.dim, exact.rows, exact.dim)
	}
	if candidates < len(dst) {
		return 0, badArgument("candidates", "%d, fewer than the %d rows wanted", candidates, len(dst))
	}
	metric := s.Metric
	if coarse.kind == Binary {
		metric = Hamming
	}
	// What exact refuses is refused before the work.
	if err := s.begin(ctx, exact, s.Metric, rows, q); err != nil {
		return 0, err
	}
	if err := s.begin(ctx, coarse, metric, rows, q); err != nil {
		return 0, err
	}
	candidates = min(candidates, rows.To-rows.From)
	if cap(s.first) < candidates {
		s.first = make([]Hit, candidates)
	}
	n, err := s.topK(s.first[:candidates])
	if err != nil {
		return 0, err
	}
	if err := s.begin(ctx, exact, s.Metric, rows, q); err != nil {
		return 0, err
	}
	return s.rerank(s.first[:n], dst)
}

// begin checks what a search was given and prepares the query.
func (s *Searcher) begin(ctx context.Context, m *Matrix, metric Metric, rows Range, q *types.Embedding) error {
	switch {
	case m.closed:
		return badArgument("m", "it is closed")
	case !metric.fits(m.kind):
		return badArgument("Metric", "%v does not compare %v rows", metric, m.kind)
	case rows.From < 0 || rows.To < rows.From || rows.To > m.rows:
		return badArgument("rows", "%d to %d of %d", rows.From, rows.To, m.rows)
	case s.Filter != nil && len(s.Filter) < (m.rows+63)/64:
		return badArgument("Filter", "%d words, %d rows need %d", len(s.Filter), m.rows, (m.rows+63)/64)
	}
	if err := s.query.prepare(m, metric, q); err != nil {
		return err
	}
	s.job = job{ctx: ctx, m: m, metric: metric, rows: rows}
	return nil
}

// release lets go of what belongs to the caller.
func (s *Searcher) release() {
	s.job = job{}
	q := &s.query
	q.own, q.vector, q.quanta, q.bits = nil, nil, nil, nil
}

func (s *Searcher) topK(dst []Hit) (int, error) {
	n := min(len(dst), s.job.rows.To-s.job.rows.From)
	if n == 0 {
		return 0, s.job.ctx.Err()
	}
	if err := s.spread(n, dst); err != nil {
		return 0, err
	}
	best := best{hits: dst[:0], n: n}
	for _, w := range s.workers[:s.job.workers()] {
		if len(best.hits) == 0 {
			best.hits = append(best.hits, w.best.hits...) // dst itself, if there is one worker
			continue
		}
		for _, h := range w.best.hits {
			best.offer(h)
		}
	}
	return best.finish(s.job.metric), nil
}

func (s *Searcher) rerank(candidates, dst []Hit) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	j, w := &s.job, s.worker(0)
	best := best{hits: dst[:0], n: len(dst)}
	for i, h := range candidates {
		if i%chunkRows == 0 {
			if err := j.ctx.Err(); err != nil {
				return 0, err
			}
		}
		w.score(j, &s.query, h.Row, 1)
		best.offer(Hit{h.Row, w.key(j, &s.query, h.Row, 0)})
	}
	return best.finish(j.metric), nil
}

// workers is the number of workers that the job needs.
func (j *job) workers() int {
	return max(1, (j.rows.To-j.rows.From+j.each-1)/j.each)
}

// spread runs the job. The hits of a worker are at most n; a single worker has dst for them.
func (s *Searcher) spread(n int, dst []Hit) error {
	j := &s.job
	rows := j.rows.To - j.rows.From
	j.each = max(1, rows)
	if s.Runner != nil {
		j.each = max(chunkRows, workerBytes/j.m.rowBytes(), (rows+maxWorkers-1)/maxWorkers)
	}
	workers := j.workers()
	for i := range workers {
		w := s.worker(i)
		w.best, w.seen = best{hits: dst[:0], n: n}, 0
		if workers > 1 {
			if cap(w.hits) < n {
				w.hits = make([]Hit, n)
			}
			w.best.hits = w.hits[:0]
		}
	}
	if workers == 1 {
		s.work(0)
	} else {
		if s.run == nil {
			s.run = s.work
		}
		s.Runner.Run(workers, s.run)
	}
	for _, w := range s.workers[:workers] {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

func (s *Searcher) worker(i int) *worker {
	for len(s.workers) <= i {
		s.workers = append(s.workers, new(worker))
	}
	return s.workers[i]
}

// work does what worker i has to.
func (s *Searcher) work(i int) {
	j := &s.job
	from := j.rows.From + i*j.each
	w := s.workers[i]
	w.err = w.work(j, &s.query, s.Filter, from, min(from+j.each, j.rows.To))
}
