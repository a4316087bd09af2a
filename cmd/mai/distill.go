package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models/distill"
)

// distillRecord is what distill prints with --json.
type distillRecord struct {
	Out  string `json:"out"`
	Dims int    `json:"dims"`
}

func newDistill() *cobra.Command {
	var out, corpus string
	var dims int
	cmd := &cobra.Command{
		Use:   "distill MODEL_DIR -o OUT",
		Short: "Make a small, fast model out of an encoder",
		Long: `Make a small, fast model out of an encoder: a table with one vector for each word piece,
trained until the mean of a text's vectors points where the encoder points. It needs no
texts; --corpus goes on with sentences of the kind that the small model is for. It takes
minutes and uses all cores.

OUT is a new folder in the layout of model2vec, for 'mai embed --model OUT' and others. The
same model and options make the same bytes on one machine.`,
		Example: "  mai distill all-MiniLM-L6-v2 -o my-small-model --dims 192",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("no folder to write to: give one with -o")
			}
			if dims <= 0 || dims%32 != 0 {
				return usagef("--dims %d: must be a multiple of 32", dims)
			}
			opts := distill.Options{Dims: dims}
			var err error
			if corpus != "" {
				if opts.Corpus, err = readCorpus(cmd, corpus); err != nil {
					return err
				}
			}
			src, err := distill.Open(args[0])
			if err != nil {
				return err
			}
			defer src.Close()
			bars := &stages{w: cmd.ErrOrStderr()}
			opts.Progress = bars.set
			err = distill.Run(cmd.Context(), src, out, opts)
			bars.finish()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if wantsJSON(cmd) {
				return outputError(json.NewEncoder(w).Encode(distillRecord{out, dims}))
			}
			_, err = fmt.Fprintf(w, "%s: a model of %d dimensions\n", out, dims)
			return outputError(err)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "write the model to the new folder `OUT`")
	f.IntVar(&dims, "dims", 192, "make vectors of `N` dimensions, a multiple of 32")
	f.StringVar(&corpus, "corpus", "", `go on with the sentences in `+"`FILE`"+`, one a line, or {"text": ...} in *.jsonl`)
	return cmd
}

// readCorpus reads all sentences of a file.
func readCorpus(cmd *cobra.Command, file string) ([]string, error) {
	corpus, _, err := readItems(cmd, &input[string]{kind: texts, file: file})
	if err == nil && len(corpus) == 0 {
		err = &inputError{File: file, Err: errors.New("no sentences in it")}
	}
	return corpus, err
}
