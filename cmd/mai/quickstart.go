package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/steps"
	"github.com/maida-ai/gomai/types"
)

// quickstartRecord is what quickstart prints with --json.
type quickstartRecord struct {
	Result string       `json:"result"`
	Score  float64      `json:"score"`
	Steps  []stepRecord `json:"steps"`
}

type stepRecord struct {
	Path     string  `json:"path"`
	Start    float64 `json:"start_us"` // since the start of the call
	Duration float64 `json:"duration_us"`
	Error    *string `json:"error"`
}

func newQuickstart() *cobra.Command {
	var model modelFlag
	var threshold float64
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Run a small pipeline on a real model and show the time of each step",
		Long: `Run a small pipeline on a real model and show the time of each step on stderr: it embeds
two texts, lets two agents compare them at the same time, takes the mean of what they say,
waits 100 ms and puts the score into words. One of the agents imagines a remote call. The
program to copy is examples/quickstart.

With --json it prints {"result", "score", "steps": [{"path", "start_us", "duration_us",
"error"}]}.`,
		Example: "  mai quickstart",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if math.IsNaN(threshold) || math.IsInf(threshold, 0) {
				return usagef("--threshold %v: must be a finite number", threshold)
			}
			m, err := model.open()
			if err != nil {
				return err
			}
			defer m.Close()
			r, spans, err := quickstart(cmd.Context(), m, threshold)
			if wantsJSON(cmd) {
				r.Steps = stepRecords(spans)
				return errors.Join(err, outputError(json.NewEncoder(cmd.OutOrStdout()).Encode(r)))
			}
			printSteps(cmd.ErrOrStderr(), spans)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), r.Result)
			return outputError(err)
		},
	}
	model.flags(cmd)
	cmd.Flags().Float64Var(&threshold, "threshold", 0.75, "call a score of at least `X` high")
	return cmd
}

// agent1 imagines a call to a service: it waits, and then answers.
func agent1(metric metrics.Metric) layers.Module[[]types.Embedding, float64] {
	return layers.Func("agent1", func(ctx context.Context, e []types.Embedding) (float64, error) {
		select {
		case <-time.After(20 * time.Millisecond):
			return metrics.Compare(metric, &e[0], &e[1])
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// agent2 computes.
func agent2(metric metrics.Metric) layers.Module[[]types.Embedding, float64] {
	return steps.Similarity(metric).With(layers.Name("agent2"))
}

// noted is the name of the step that takes the score down for --json; it is no part of the pipeline
// that the command shows.
const noted = "noted"

// quickstart runs the pipeline. There are spans of the steps that ran also when one of them failed.
func quickstart(ctx context.Context, model *models.Model, threshold float64) (r quickstartRecord, spans []kernel.Span, err error) {
	note := layers.Plain(noted, func(score float64) (float64, error) {
		r.Score = score
		return score, nil
	}).With(layers.Computing)

	engine, err := layers.Compile(layers.Sequential6(
		steps.Tokenize(model.Tokenizer()),
		steps.Embed(model),
		layers.Parallel(
			agent1(metrics.Cosine).With(layers.Blocking, layers.Timeout(500*time.Millisecond)),
			agent2(metrics.Cosine).With(layers.Timeout(300*time.Millisecond)),
		),
		layers.Aggregate(layers.Mean[float64]),
		layers.BlockingDelay[float64](100*time.Millisecond),
		layers.Sequential(note, steps.Humanize().With(steps.Threshold.Set(threshold))),
	).With(layers.Name("quickstart"), layers.Timeout(time.Second)))
	if err != nil {
		return r, nil, err
	}
	defer engine.Close()

	var trace layers.TraceHandle
	r.Result, err = engine.Call(ctx, []string{"hello world", "Hello, world!"}, layers.Trace(&trace))
	spans = slices.DeleteFunc(trace.Spans, func(s kernel.Span) bool { return s.Path == "quickstart/"+noted })
	return r, spans, err
}

func stepRecords(spans []kernel.Span) []stepRecord {
	list := make([]stepRecord, len(spans))
	for i, s := range spans {
		list[i] = stepRecord{Path: s.Path, Start: microseconds(s.Start), Duration: microseconds(s.Duration)}
		if s.Err != nil {
			text := s.Err.Error()
			list[i].Error = &text
		}
	}
	return list
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// printSteps prints the time of each step as a table.
func printSteps(w io.Writer, spans []kernel.Span) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "step\tstart\ttime")
	for _, s := range spans {
		fmt.Fprintf(t, "%s\t%v\t%v", s.Path, s.Start.Round(100*time.Nanosecond), s.Duration.Round(100*time.Nanosecond))
		if s.Err != nil {
			fmt.Fprintf(t, "\t%v", s.Err)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}
