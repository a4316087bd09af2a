package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models/modelfile"
)

// stsPair is two texts and how alike people find them.
type stsPair struct {
	score float64
	a, b  string
}

// stsPairs are items of a score and two texts, in the layout of the STS benchmark.
var stsPairs = kind[stsPair]{
	item:     "pair",
	flag:     "measure by the pairs in `FILE`, one a line: score, text and text, with tabs between; - is stdin",
	jsonFlag: `a line of --sts is {"score": 3.5, "a": "...", "b": "..."}; on by itself for *.jsonl`,
	plain: func(line []byte) (stsPair, error) {
		fields := bytes.Split(line, []byte("\t"))
		if len(fields) != 3 {
			return stsPair{}, fmt.Errorf("%d tabs; a pair is a score and two texts with tabs between them", len(fields)-1)
		}
		score, err := strconv.ParseFloat(string(fields[0]), 64)
		if err != nil || score-score != 0 {
			return stsPair{}, fmt.Errorf("the score is %.40q, not a finite number", fields[0])
		}
		return stsPair{score, string(fields[1]), string(fields[2])}, nil
	},
	jsonLine: func(line []byte) (stsPair, error) {
		var v struct {
			Score *float64 `json:"score"`
			A     *string  `json:"a"`
			B     *string  `json:"b"`
		}
		if err := modelfile.DecodeJSON("", line, &v); err != nil {
			return stsPair{}, err
		}
		switch {
		case v.Score == nil:
			return stsPair{}, missing("score")
		case v.A == nil:
			return stsPair{}, missing("a")
		case v.B == nil:
			return stsPair{}, missing("b")
		}
		return stsPair{*v.Score, *v.A, *v.B}, nil
	},
	texts: 2,
}

// stsResult is what a model scores on pairs.
type stsResult struct {
	Spearman float64 `json:"spearman"`
	Pairs    int     `json:"pairs"`
}

func readSTS(cmd *cobra.Command, in *input[stsPair]) ([]stsPair, error) {
	list, name, err := readItems(cmd, in)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(p stsPair) bool { return p.score != list[0].score }) {
		return nil, &inputError{File: name, Err: errors.New("fewer than two different scores: there is no order to compare with")}
	}
	return list, nil
}

// readItems reads all items of a file.
func readItems[T any](cmd *cobra.Command, in *input[T]) (list []T, name string, err error) {
	source, err := in.open(nil, cmd.InOrStdin())
	if err != nil {
		return nil, "", err
	}
	defer source.Close()
	for b, err := range source.batches(cmd.Context()) {
		if err != nil {
			return nil, "", err
		}
		list = append(list, b.items...)
	}
	return list, source.name, nil
}

// textsOf returns the texts of all pairs, one after the other.
func textsOf(pairs []stsPair) []string {
	texts := make([]string, 0, 2*len(pairs))
	for _, p := range pairs {
		texts = append(texts, p.a, p.b)
	}
	return texts
}

// scoreSTS compares the cosines of vectors, (2*pairs, dim), with the scores of people.
func scoreSTS(pairs []stsPair, vectors []float32, dim int) *stsResult {
	people, cosines := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		people[i] = p.score
		cosines[i] = metrics.Cosine(vectors[2*i*dim:(2*i+1)*dim], vectors[(2*i+1)*dim:(2*i+2)*dim])
	}
	return &stsResult{Spearman: spearman(people, cosines), Pairs: len(pairs)}
}

// spearman is the correlation between the ranks of a and b. It is 0 if one of them has no order.
//
// Source: the definition, with equal values sharing the mean of their ranks.
func spearman(a, b []float64) float64 {
	x, y := ranks(a), ranks(b)
	mean := float64(len(a)+1) / 2
	var xy, xx, yy float64
	for i := range x {
		dx, dy := x[i]-mean, y[i]-mean
		xy += dx * dy
		xx += dx * dx
		yy += dy * dy
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// ranks numbers values by size, from 1.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	ranks := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}
