package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/metrics/search"
	"github.com/maida-ai/gomai/models/modelfile"
	"github.com/maida-ai/gomai/types"
)

// depth is how many documents of a search count.
const depth = 10

// retrievalFlags say where a search in the layout of BEIR lies.
//
// Source: https://github.com/beir-cellar/beir, GenericDataLoader and EvaluateRetrieval.
type retrievalFlags struct {
	folder, qrels string
}

func (f *retrievalFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.folder, "retrieval", "", "measure by the search in `FOLDER`: corpus.jsonl, queries.jsonl and qrels/test.tsv")
	cmd.Flags().StringVar(&f.qrels, "qrels", "", "take the judgements of --retrieval from `FILE`")
}

// retrieval is a search whose right answers are known.
type retrieval struct {
	queries   []string
	documents []string
	wanted    []map[int]float64 // by query: the gains of documents
	ideal     []float64         // by query: the DCG of the best order
	same      []int             // by query: the document with its id, which is not to be found, or -1
}

// retrievalResult is what a model scores in a search.
type retrievalResult struct {
	NDCG      float64 `json:"ndcg@10"`
	Queries   int     `json:"queries"`
	Documents int     `json:"documents"`
}

// entry is a query or a document.
type entry struct {
	id, text string
}

// entries are items of an id and a text.
var entries = kind[entry]{
	item: "entry",
	jsonLine: func(line []byte) (entry, error) {
		var v struct {
			ID    *string `json:"_id"`
			Title string  `json:"title"`
			Text  *string `json:"text"`
		}
		if err := modelfile.DecodeJSON("", line, &v); err != nil {
			return entry{}, err
		}
		if v.ID == nil {
			return entry{}, missing("_id")
		}
		if v.Text == nil {
			return entry{}, missing("text")
		}
		return entry{*v.ID, strings.TrimSpace(v.Title + " " + *v.Text)}, nil
	},
	texts: 1,
}

// judgement says how right a document is for a query.
type judgement struct {
	query, document string
	score           float64
	header          bool
}

// judgements are items of two ids and a score.
var judgements = kind[judgement]{
	item: "judgement",
	plain: func(line []byte) (judgement, error) {
		fields := bytes.Split(line, []byte("\t"))
		if len(fields) != 3 {
			return judgement{}, fmt.Errorf("%d tabs; a judgement is query-id, corpus-id and score with tabs between them", len(fields)-1)
		}
		score, err := strconv.ParseFloat(string(fields[2]), 64)
		if err != nil || score-score != 0 {
			if string(fields[2]) == "score" {
				return judgement{header: true}, nil
			}
			return judgement{}, fmt.Errorf("the score is %.40q, not a finite number", fields[2])
		}
		return judgement{string(fields[0]), string(fields[1]), score, false}, nil
	},
	texts: 1,
}

// read reads the search, nil if there is none.
func (f *retrievalFlags) read(cmd *cobra.Command) (*retrieval, error) {
	if f.folder == "" {
		if f.qrels != "" {
			return nil, usagef("--qrels tells what is right in --retrieval, which is not given")
		}
		return nil, nil
	}
	on, off := true, false
	documents, _, err := readItems(cmd, &input[entry]{kind: entries, file: filepath.Join(f.folder, "corpus.jsonl"), jsonl: &on})
	if err != nil {
		return nil, err
	}
	queries, _, err := readItems(cmd, &input[entry]{kind: entries, file: filepath.Join(f.folder, "queries.jsonl"), jsonl: &on})
	if err != nil {
		return nil, err
	}
	qrels := cmp.Or(f.qrels, filepath.Join(f.folder, "qrels", "test.tsv"))
	list, _, err := readItems(cmd, &input[judgement]{kind: judgements, file: qrels, jsonl: &off})
	if err != nil {
		return nil, err
	}
	return newRetrieval(f.folder, qrels, documents, queries, list)
}

// newRetrieval brings the files together. Queries without a document that is right are left out.
func newRetrieval(folder, qrels string, documents, queries []entry, list []judgement) (*retrieval, error) {
	row := func(file string, all []entry) (map[string]int, error) {
		rows := make(map[string]int, len(all))
		for i, e := range all {
			if _, twice := rows[e.id]; twice {
				return nil, &inputError{File: filepath.Join(folder, file), Err: fmt.Errorf("the _id %q comes twice", e.id)}
			}
			rows[e.id] = i
		}
		return rows, nil
	}
	documentRow, err := row("corpus.jsonl", documents)
	if err != nil {
		return nil, err
	}
	if _, err := row("queries.jsonl", queries); err != nil {
		return nil, err
	}
	gains := map[string]map[string]float64{}
	for _, j := range list {
		if j.header || j.score <= 0 {
			continue
		}
		if gains[j.query] == nil {
			gains[j.query] = map[string]float64{}
		}
		gains[j.query][j.document] = j.score
	}
	r := &retrieval{}
	for _, d := range documents {
		r.documents = append(r.documents, d.text)
	}
	for _, q := range queries {
		if gains[q.id] == nil {
			continue
		}
		wanted := map[int]float64{}
		var scores []float64
		for id, score := range gains[q.id] {
			scores = append(scores, score) // also of documents that are missing, as trec_eval does
			if i, ok := documentRow[id]; ok {
				wanted[i] = score
			}
		}
		slices.SortFunc(scores, func(a, b float64) int { return cmp.Compare(b, a) })
		same := -1
		if i, ok := documentRow[q.id]; ok {
			same = i
		}
		r.queries = append(r.queries, q.text)
		r.wanted = append(r.wanted, wanted)
		r.ideal = append(r.ideal, dcg(scores))
		r.same = append(r.same, same)
	}
	if len(r.queries) == 0 {
		return nil, &inputError{File: qrels, Err: errors.New("no query of queries.jsonl has a document with a score above 0")}
	}
	if len(r.documents) == 0 {
		return nil, &inputError{File: filepath.Join(folder, "corpus.jsonl"), Err: errors.New("no documents")}
	}
	return r, nil
}

// dcg is the discounted cumulative gain of the first 10 gains.
//
// Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques (2002), in the form
// of trec_eval.
func dcg(gains []float64) float64 {
	var sum float64
	for i, g := range gains[:min(depth, len(gains))] {
		sum += g / math.Log2(float64(i+2))
	}
	return sum
}

// score searches documents, (documents, dim), for each of queries, (queries, dim), by cosine.
func (r *retrieval) score(ctx context.Context, queries, documents []float32, dim int) (*retrievalResult, error) {
	rows, err := search.FromF32(vectorSpace, dim, documents)
	if err != nil {
		return nil, err
	}
	scores, errs := make([]float64, len(r.queries)), make([]error, len(r.queries))
	parallel(len(r.queries), func(q int) {
		var s search.Searcher
		hits := make([]search.Hit, depth+1) // one may be the query itself
		n, err := s.TopK(ctx, rows, rows.All(), &types.Embedding{F32: queries[q*dim : (q+1)*dim], Space: vectorSpace}, hits)
		if err != nil {
			errs[q] = err
			return
		}
		var gains []float64
		for _, h := range hits[:n] {
			if h.Row != r.same[q] {
				gains = append(gains, r.wanted[q][h.Row])
			}
		}
		scores[q] = dcg(gains) / r.ideal[q]
	})
	result := &retrievalResult{Queries: len(r.queries), Documents: len(r.documents)}
	for _, s := range scores {
		result.NDCG += s / float64(len(scores))
	}
	return result, errors.Join(errs...)
}
