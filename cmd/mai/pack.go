package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models"
)

// packRecord is what pack prints with --json.
type packRecord struct {
	Out string `json:"out"`
	*models.Description
}

func newPack() *cobra.Command {
	var out, licence, texts string
	cmd := &cobra.Command{
		Use:   "pack MODEL -o FILE",
		Short: "Make a model one file that opens at once",
		Long: `Make a model one file that opens at once: the int8 form of an encoder in the order in which it is
computed, its tokeniser and its settings, with checksums and a few texts whose vectors prove, on
every machine that opens it, that it computes what it should.

Opening a model that is not packed packs it once into the user's cache. A packed file is for
machines without one, for images of containers, and for models that many processes share: they
share its memory.

The ranges of numbers are found on texts that mai carries, or on those in --calibration FILE,
one a line: a hundred or more of the kind that will be embedded, 32 at least.`,
		Example: "  mai pack all-MiniLM-L6-v2 -o minilm.gomai",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("no file to write to: give one with -o")
			}
			bars := &stages{w: cmd.ErrOrStderr()}
			opts := []models.Option{models.Licence(licence), models.Progress(bars.set)}
			if texts != "" {
				lines, err := readCorpus(cmd, texts)
				if err != nil {
					return err
				}
				opts = append(opts, models.Calibration(lines))
			}
			d, err := models.Pack(cmd.Context(), args[0], out, opts...)
			bars.finish()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if wantsJSON(cmd) {
				return outputError(json.NewEncoder(w).Encode(packRecord{out, &d}))
			}
			_, err = fmt.Fprintf(w, "%s: %s in %s, cosine to float32 at least %.4f, on average %.5f\n",
				out, d.Kind, d.Precision, d.MinCosine, d.MeanCosine)
			return outputError(err)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "write the packed model to `FILE`")
	f.StringVar(&licence, "licence", "", "note the model's `LICENCE`, if its files do not say it")
	f.StringVar(&texts, "calibration", "", "find ranges on the texts in `FILE`, one a line")
	return cmd
}
