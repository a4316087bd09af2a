package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
)

// evalRecord is what eval prints with --json.
type evalRecord struct {
	Model   string       `json:"model"`
	Results []evalResult `json:"results"`
}

// evalResult is what came of one precision.
type evalResult struct {
	Precision string           `json:"precision"`
	STS       *stsResult       `json:"sts,omitempty"`
	Retrieval *retrievalResult `json:"retrieval,omitempty"`
	Cosine    *agreement       `json:"cosine,omitempty"` // to the vectors of the first precision; the first has none
}

// agreement is the cosine between two vectors of a text, over the texts that were compared: those of
// --sts, and the queries.
type agreement struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
}

func newEval() *cobra.Command {
	var model modelFlag
	var names []string
	sts := input[stsPair]{kind: stsPairs, flag: "sts"}
	var retrieval retrievalFlags
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure a model on your own texts, in each precision",
		Long: `Measure a model on your own texts, in each precision that it offers, or in those that
--precision names.

--sts FILE has pairs of texts with a score of how alike people find them, one a line:
SCORE, TEXT and TEXT with tabs between them, or {"score", "a", "b"} in *.jsonl. The result
is Spearman's rank correlation between these scores and the cosines of the vectors.

--retrieval FOLDER has a search in the layout of BEIR: corpus.jsonl with {"_id", "title",
"text"}, queries.jsonl with {"_id", "text"} and qrels/test.tsv with query-id, corpus-id and
score (--qrels names another file). The result is nDCG@10, the mean over the queries that
have a document with a score above 0; queries and documents get the model's prompts. The
vectors of all documents are in memory.

From the second precision on, the table says how near vectors are to those of the first.`,
		Example: `  printf '5\ta cat sat\tthe cat sits\n1\ta cat sat\tstocks fell\n' | mai eval --sts -`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tasks, err := readTasks(cmd, &sts, &retrieval)
			if err != nil {
				return err
			}
			if err := model.check(); err != nil {
				return err
			}
			r := evalRecord{Model: model.path}
			if r.Model == "" {
				r.Model = builtinName
			}
			err = eachPrecision(&model, names, func(m *models.Model) error {
				result, err := tasks.measure(cmd.Context(), m, &stages{w: cmd.ErrOrStderr()})
				r.Results = append(r.Results, result)
				return err
			})
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return outputError(json.NewEncoder(cmd.OutOrStdout()).Encode(r))
			}
			return outputError(r.table(cmd.OutOrStdout()))
		},
	}
	model.flags(cmd)
	sts.flags(cmd)
	retrieval.flags(cmd)
	cmd.Flags().StringArrayVar(&names, "precision", nil, "measure in `P`: auto, f32, bf16 or int8; may be given several times")
	return cmd
}

// eachPrecision opens the model in each of the precisions, or in all that it offers, and calls f.
func eachPrecision(flag *modelFlag, names []string, f func(m *models.Model) error) error {
	given := names != nil
	if !given {
		names = []string{"f32", "bf16", "int8"}
	}
	for _, name := range names {
		if _, ok := precisions[name]; !ok {
			return usagef("--precision %s: must be f32, bf16, int8 or auto", name)
		}
	}
	run := func(name string) error {
		m, err := flag.open(models.Precision(precisions[name]))
		if err != nil {
			return err
		}
		defer m.Close()
		return f(m)
	}
	done := false
	for _, name := range names {
		var refused *models.OptionError
		switch err := run(name); {
		case err == nil:
			done = true
		case !given && errors.As(err, &refused):
		default:
			return err
		}
	}
	if !done { // a static table that is stored in some other form
		return run("auto")
	}
	return nil
}

// tasks are what a model is measured by.
type tasks struct {
	sts       []stsPair
	retrieval *retrieval
	first     []float32 // vectors of the first precision
}

func readTasks(cmd *cobra.Command, sts *input[stsPair], flags *retrievalFlags) (*tasks, error) {
	var t tasks
	var err error
	if sts.file == "" && flags.folder == "" {
		return nil, usagef("nothing to measure by: give --sts or --retrieval")
	}
	if sts.file != "" {
		if t.sts, err = readSTS(cmd, sts); err != nil {
			return nil, err
		}
	}
	if t.retrieval, err = flags.read(cmd); err != nil {
		return nil, err
	}
	return &t, nil
}

// measure measures one precision. Vectors of the first are kept, to compare those of others with.
func (t *tasks) measure(ctx context.Context, m *models.Model, bars *stages) (evalResult, error) {
	defer bars.finish()
	precision := m.Describe().Precision
	r := evalResult{Precision: precision}
	var seen []float32
	embed := func(what string, texts []string, opts ...models.Option) ([]float32, error) {
		return embedAll(ctx, m, texts, func(done, total int) { bars.set(precision+", "+what, done, total) }, opts...)
	}
	if t.sts != nil {
		v, err := embed("pairs", textsOf(t.sts))
		if err != nil {
			return r, err
		}
		seen = append(seen, v...)
		r.STS = scoreSTS(t.sts, v, m.Dim())
	}
	if t.retrieval != nil {
		queries, err := embed("queries", t.retrieval.queries, models.AsQuery)
		if err != nil {
			return r, err
		}
		documents, err := embed("documents", t.retrieval.documents, models.AsDocument)
		if err != nil {
			return r, err
		}
		seen = append(seen, queries...)
		if r.Retrieval, err = t.retrieval.score(ctx, queries, documents, m.Dim()); err != nil {
			return r, err
		}
	}
	if t.first == nil {
		t.first = seen
	} else {
		r.Cosine = agree(t.first, seen, m.Dim())
	}
	return r, nil
}

// agree compares vectors row by row.
func agree(a, b []float32, dim int) *agreement {
	r := agreement{Min: math.Inf(1)}
	n := len(a) / dim
	for i := range n {
		c := metrics.Cosine(a[i*dim:(i+1)*dim], b[i*dim:(i+1)*dim])
		r.Min = min(r.Min, c)
		r.Mean += c / float64(n)
	}
	return &r
}

// embedAll returns the vectors of all texts, (texts, Dim), computed on all cores.
func embedAll(ctx context.Context, m *models.Model, texts []string, progress func(done, total int), opts ...models.Option) ([]float32, error) {
	const portion = 64 // groups between two looks at the progress
	dim := m.Dim()
	dst := make([]float32, len(texts)*dim)
	groups := (len(texts) + embedGroup - 1) / embedGroup
	errs := make([]error, groups)
	for from := 0; from < groups; from += portion {
		parallel(min(portion, groups-from), func(i int) {
			begin := (from + i) * embedGroup
			end := min(begin+embedGroup, len(texts))
			errs[from+i] = m.EmbedBatchInto(ctx, texts[begin:end], dst[begin*dim:end*dim], nil, opts...)
		})
		if err := errors.Join(errs[from:min(from+portion, groups)]...); err != nil {
			return nil, err
		}
		progress(min((from+portion)*embedGroup, len(texts)), len(texts))
	}
	return dst, nil
}

// table prints the results for people, a precision a line.
func (r *evalRecord) table(out io.Writer) error {
	first := r.Results[0]
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprint(w, "precision")
	if first.STS != nil {
		fmt.Fprint(w, "\tSpearman")
	}
	if first.Retrieval != nil {
		fmt.Fprint(w, "\tnDCG@10")
	}
	compared := len(r.Results) > 1
	if compared {
		fmt.Fprintf(w, "\tcosine to %s: min\tmean", first.Precision)
	}
	fmt.Fprintln(w)
	for _, row := range r.Results {
		fmt.Fprint(w, row.Precision)
		if row.STS != nil {
			fmt.Fprintf(w, "\t%.4f", row.STS.Spearman)
		}
		if row.Retrieval != nil {
			fmt.Fprintf(w, "\t%.4f", row.Retrieval.NDCG)
		}
		switch {
		case row.Cosine != nil:
			fmt.Fprintf(w, "\t%.5f\t%.5f", row.Cosine.Min, row.Cosine.Mean)
		case compared:
			fmt.Fprint(w, "\t\t")
		}
		fmt.Fprintln(w)
	}
	if first.STS != nil {
		fmt.Fprintf(w, "pairs: %d\n", first.STS.Pairs)
	}
	if first.Retrieval != nil {
		fmt.Fprintf(w, "queries: %d, documents: %d\n", first.Retrieval.Queries, first.Retrieval.Documents)
	}
	return w.Flush()
}
