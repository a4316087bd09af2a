package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/metrics"
)

// similarityRecord is what similarity prints with --json.
type similarityRecord struct {
	Metric string  `json:"metric"`
	Score  float64 `json:"score"`
}

func newSimilarity() *cobra.Command {
	var model modelFlag
	var name string
	cmd := &cobra.Command{
		Use:     "similarity A B",
		Short:   "Say how alike two texts are",
		Long:    `Say how alike two texts are. With --json it prints {"metric", "score"}.`,
		Example: `  mai similarity "a cat sat on the mat" "the mat has a cat on it"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			metric, ok := metrics.ByName(name)
			if !ok {
				return usagef("--metric %s: must be one of %s", name, strings.Join(metrics.Names(), ", "))
			}
			m, err := model.open()
			if err != nil {
				return err
			}
			defer m.Close()
			warn := &warnings{w: cmd.ErrOrStderr()}
			var vectors [2][]float32
			for i, text := range args {
				r, found, err := embedText(cmd.Context(), m, i, text, nil)
				if err != nil {
					return err
				}
				for _, f := range found {
					warn.tell(i, f)
				}
				vectors[i] = r.Embedding
			}
			warn.sum(len(args))
			score := metric(vectors[0], vectors[1])
			out := cmd.OutOrStdout()
			if wantsJSON(cmd) {
				return outputError(json.NewEncoder(out).Encode(similarityRecord{name, score}))
			}
			_, err = fmt.Fprintf(out, "%.6f\n", score)
			return outputError(err)
		},
	}
	model.flags(cmd)
	cmd.Flags().StringVar(&name, "metric", "cosine", "compare by `METRIC`: "+strings.Join(metrics.Names(), ", "))
	return cmd
}
