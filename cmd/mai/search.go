package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/metrics/search"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

// searchRecord is what search prints with --json for a query.
type searchRecord struct {
	Index  int         `json:"index"`
	Query  string      `json:"query"`
	Hits   []hitRecord `json:"hits"`
	Recall *float64    `json:"recall,omitempty"` // against float32, if the rows were quantised
}

// hitRecord is a row that was found.
type hitRecord struct {
	Rank  int      `json:"rank"`  // from 1
	Score *float32 `json:"score"` // null for NaN and infinity, which JSON lacks
	Row   int      `json:"row"`
	Text  *string  `json:"text,omitempty"` // if the file of vectors has it
}

// searchFlags are what search is told of how to search.
type searchFlags struct {
	k        int
	metric   string
	quantize string
	rerank   int
}

func newSearch() *cobra.Command {
	var model modelFlag
	var flags searchFlags
	in := input[string]{kind: texts, flag: "queries"}
	cmd := &cobra.Command{
		Use:   "search VECTORS [QUERY_TEXT...]",
		Short: "Find the vectors that are most alike to a text",
		Long: `Find the rows of VECTORS that are most alike to a text, exactly: it is compared with each.

VECTORS is a .npy file of float32 or float16, one vector a row, or the JSON lines that
'mai embed' writes; - is such lines on stdin. The vectors must be of the model that embeds
the queries: the built-in one, or --model. Queries are arguments, or the lines of a file with
--queries; a model that was trained with a prompt for queries gets it before each.

--quantize compares 8-bit numbers (i8) or signs (binary) instead of floats, which is quicker;
with --rerank N the best N of these are then compared as floats. How many of the rows found are
those that floats find is the recall; it is computed, which takes as long as a search among
floats, and told on stderr.

With --json it prints {"index", "query", "hits": [{"rank", "score", "row", "text"}], "recall"}
a line. Rows count from 0, without the blank lines that VECTORS may have: those are skipped.
Scores of --metric euclidean, and of binary without --rerank (bits that differ), are distances:
the lowest is the best. A score that is NaN, as for a row with a NaN in it, or infinite is null
with --json and none in the table.`,
		Example: `  mai embed "a cat sat" "stocks fell" | mai search - "feline"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no VECTORS: give a .npy file or the JSON lines of 'mai embed' (- is stdin)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			if args[0] == "-" && in.file == "-" {
				return usagef("both VECTORS and --queries from stdin")
			}
			queries, err := in.open(append([]string(nil), args[1:]...), cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer queries.Close()
			m, err := model.open()
			if err != nil {
				return err
			}
			defer m.Close()
			vectors, err := readVectors(cmd, args[0])
			if err != nil {
				return err
			}
			if err := vectors.fit(m); err != nil {
				return err
			}
			f, err := newFinder(m, vectors, flags, len(args) == 2)
			if err != nil {
				return err
			}
			if err := stream(cmd, queries, func(ctx context.Context, index int, text string) (any, []flawed, error) {
				record, found, err := f.find(ctx, index, text)
				if err != nil || wantsJSON(cmd) {
					return record, found, err
				}
				return record.table(len(args) == 2), found, nil
			}); err != nil {
				return err
			}
			f.tellRecall(cmd)
			return nil
		},
	}
	model.flags(cmd)
	in.flags(cmd)
	f := cmd.Flags()
	f.IntVarP(&flags.k, "top", "k", 10, "find the best `K` rows")
	f.StringVar(&flags.metric, "metric", "cosine", "compare by `METRIC`: "+strings.Join(metrics.Names(), ", "))
	f.StringVar(&flags.quantize, "quantize", "", "compare rows of `KIND`: i8 or binary")
	f.IntVar(&flags.rerank, "rerank", 0, "compare the best `N` of the quantised rows as floats")
	return cmd
}

func (f *searchFlags) check(cmd *cobra.Command) error {
	_, known := metrics.ByName(f.metric)
	switch {
	case f.k < 1:
		return usagef("-k %d: must be at least 1", f.k)
	case !known:
		return usagef("--metric %s: must be one of %s", f.metric, strings.Join(metrics.Names(), ", "))
	case f.quantize != "" && f.quantize != search.I8.String() && f.quantize != search.Binary.String() || f.quantize == "" && cmd.Flags().Changed("quantize"):
		return usagef("--quantize %s: must be i8 or binary", f.quantize)
	case !cmd.Flags().Changed("rerank"):
		return nil
	case f.quantize == "":
		return usagef("--rerank: is for rows that --quantize makes")
	case f.rerank < f.k:
		return usagef("--rerank %d: must be at least the %d rows wanted", f.rerank, f.k)
	}
	return nil
}

// finder answers queries, some at a time.
type finder struct {
	m       *models.Model
	vectors *vectors
	flags   searchFlags
	exact   *search.Matrix
	coarse  *search.Matrix // nil if the rows are not quantised
	spread  bool           // one query has all cores

	free           sync.Pool // of *asker
	queries, hits  atomic.Int64
	hitsLikeFloats atomic.Int64
}

// asker is what one query at a time needs.
type asker struct {
	exact, coarse search.Searcher
	hits, floats  []search.Hit
}

func newFinder(m *models.Model, v *vectors, flags searchFlags, spread bool) (*finder, error) {
	f := &finder{m: m, vectors: v, flags: flags, spread: spread}
	var err error
	if f.exact, err = search.FromF32(vectorSpace, v.dim, v.rows); err != nil {
		return nil, err
	}
	for _, kind := range []search.Kind{search.I8, search.Binary} {
		if flags.quantize == kind.String() {
			if f.coarse, err = f.exact.Quantize(kind); err != nil {
				return nil, err
			}
		}
	}
	metric, _ := search.MetricByName(flags.metric)
	f.free.New = func() any {
		a := &asker{exact: search.Searcher{Metric: metric}, coarse: search.Searcher{Metric: metric}}
		if flags.quantize == search.Binary.String() {
			a.coarse.Metric = search.Hamming
		}
		if spread {
			a.exact.Runner, a.coarse.Runner = cores{}, cores{}
		}
		k := min(flags.k, f.exact.Rows())
		a.hits, a.floats = make([]search.Hit, k), make([]search.Hit, k)
		return a
	}
	return f, nil
}

// vectorSpace is the space of the vectors and of the queries: files do not tell theirs, the user says
// that it is the model's.
const vectorSpace types.SpaceID = "of the model, as the user says"

// cores spreads work over all cores.
type cores struct{}

func (cores) Run(n int, f func(i int)) { parallel(n, f) }

// find answers a query.
func (f *finder) find(ctx context.Context, index int, text string) (searchRecord, []flawed, error) {
	v, text, found, err := embedText(ctx, f.m, index, text, queryOptions)
	if err != nil {
		return searchRecord{}, nil, err
	}
	if !slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) {
		found = append(found, flawed{index, zeroQuery})
	}
	a := f.free.Get().(*asker)
	defer f.free.Put(a)
	q := &types.Embedding{F32: v, Space: vectorSpace}
	n, err := f.search(ctx, a, q)
	if err != nil {
		return searchRecord{}, nil, err
	}
	record := searchRecord{Index: index, Query: text, Hits: make([]hitRecord, n)}
	for i, h := range a.hits[:n] {
		record.Hits[i] = hitRecord{Rank: i + 1, Row: h.Row}
		if h.Score-h.Score == 0 {
			record.Hits[i].Score = &h.Score
		}
		if f.vectors.texts != nil {
			record.Hits[i].Text = &f.vectors.texts[h.Row]
		}
	}
	if f.coarse != nil {
		recall, err := f.recall(ctx, a, q, a.hits[:n])
		if err != nil {
			return searchRecord{}, nil, err
		}
		record.Recall = &recall
	}
	return record, found, nil
}

var queryOptions = []models.Option{models.AsQuery}

func (f *finder) search(ctx context.Context, a *asker, q *types.Embedding) (int, error) {
	switch {
	case f.coarse == nil:
		return a.exact.TopK(ctx, f.exact, f.exact.All(), q, a.hits)
	case f.flags.rerank > 0:
		return a.exact.TopKRerank(ctx, f.coarse, f.exact, f.exact.All(), q, f.flags.rerank, a.hits)
	}
	return a.coarse.TopK(ctx, f.coarse, f.coarse.All(), q, a.hits)
}

// recall is the share of the rows that floats find that are among hits.
func (f *finder) recall(ctx context.Context, a *asker, q *types.Embedding, hits []search.Hit) (float64, error) {
	n, err := a.exact.TopK(ctx, f.exact, f.exact.All(), q, a.floats)
	if err != nil {
		return 0, err
	}
	rows := make(map[int]bool, len(hits))
	for _, h := range hits {
		rows[h.Row] = true
	}
	same := 0
	for _, h := range a.floats[:n] {
		if rows[h.Row] {
			same++
		}
	}
	f.queries.Add(1)
	f.hits.Add(int64(n))
	f.hitsLikeFloats.Add(int64(same))
	if n == 0 {
		return 1, nil
	}
	return float64(same) / float64(n), nil
}

func (f *finder) tellRecall(cmd *cobra.Command) {
	if n := f.hits.Load(); n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "mai: recall@%d against float32: %.4f (queries: %d)\n",
			min(f.flags.k, f.exact.Rows()), float64(f.hitsLikeFloats.Load())/float64(n), f.queries.Load())
	}
}

// table returns the record for people to read. Below each other several need to say whose they are.
func (r *searchRecord) table(alone bool) string {
	var b strings.Builder
	if !alone {
		if r.Index > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s\n", oneField(r.Query))
	}
	b.WriteString("rank       score       row")
	if len(r.Hits) > 0 && r.Hits[0].Text != nil {
		b.WriteString("  text")
	}
	for _, h := range r.Hits {
		score := "none"
		if h.Score != nil {
			score = fmt.Sprintf("%.6f", *h.Score)
		}
		fmt.Fprintf(&b, "\n%4d  %10s  %8d", h.Rank, score, h.Row)
		if h.Text != nil {
			fmt.Fprintf(&b, "  %s", oneField(*h.Text))
		}
	}
	return b.String()
}

// fit says whether the model can be asked for what the vectors hold.
func (v *vectors) fit(m *models.Model) error {
	if len(v.rows) == 0 { // a .npy file without rows has a dimension all the same
		return &inputError{File: v.file, Err: errors.New("no vectors")}
	}
	if v.dim != m.Dim() {
		return &inputError{File: v.file, Err: fmt.Errorf("vectors of %d components, but the model makes %d: --model must be the one that made them", v.dim, m.Dim())}
	}
	if v.dim > search.MaxDim {
		return &inputError{File: v.file, Err: fmt.Errorf("vectors of %d components, at most %d", v.dim, search.MaxDim)}
	}
	return nil
}
