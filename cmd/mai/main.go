// Command mai embeds, tokenises, compares and finds text, makes small models out of large ones and runs
// the quick start, out of one binary (a static one with CGO_ENABLED=0).
//
// Data goes to stdout, everything else to stderr. The exit code is 0 when the work is done, 1 when it
// failed while running, 2 for wrong usage, 3 for bad input or a bad model file, 130 when interrupted.
// Each subcommand has a file of its own here; what they compute lives in the packages that they call.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/internal/cpu"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	// A second ctrl-C ends the process at once, should something not listen to the first.
	context.AfterFunc(ctx, stop)

	parsed := false
	root := newRoot(&parsed)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return
	}
	code := exitCode(ctx, err, parsed)
	switch code {
	case exitInterrupted:
		fmt.Fprintln(os.Stderr, "mai: interrupted")
	case exitUsage:
		fmt.Fprintf(os.Stderr, "mai: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
	default:
		fmt.Fprintf(os.Stderr, "mai: %v\n", err)
	}
	os.Exit(code)
}

// newRoot builds the command line. It sets parsed when a command line has turned out well-formed and
// its command is about to run.
func newRoot(parsed *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "mai",
		Short: "Embed and compare text, without a server and without Python",
		Long: `mai embeds and compares text, without a server and without Python.

Without --model a small model that is part of the binary is used: English, 4 MB, about
10 microseconds a sentence. --model takes the folder of a sentence-transformers model,
as published, or of a static model as model2vec or 'mai distill' write it.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed while
running, 2 wrong usage, 3 bad input or model file, 130 interrupted.`,
		Example:           "  mai quickstart",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if _, err := cpu.Detect(); err != nil {
				return err
			}
			*parsed = true
			return nil
		},
	}
	root.PersistentFlags().Bool("json", false, "print JSON on stdout, for machines")
	root.AddCommand(
		newQuickstart(),
		newEmbed(),
		newTokenize(),
		newSimilarity(),
		newSearch(),
		newDistill(),
		newPack(),
		newEval(),
		newModels(),
		newDoctor(),
		newVersion(),
	)
	root.SetHelpCommand(newHelp(root))
	return root
}

// newHelp is cobra's help command, but a command that does not exist is wrong usage.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show how a command is used",
		Example: "  mai help embed",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("unknown command %q for \"mai\"", strings.Join(args, " "))
			}
			return cmd.Help()
		},
	}
}

// wantsJSON says whether --json was given.
func wantsJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}
