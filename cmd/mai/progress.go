package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// redraw is how often a bar is drawn at most.
const redraw = 100 * time.Millisecond

// progress is a bar on stderr, or nothing where stderr is no terminal. It is also the writer for
// messages, which take the bar's line.
type progress struct {
	w   io.Writer
	bar *progressbar.ProgressBar // nil without a terminal
}

// newProgress returns a bar over total bytes. It is nothing if the total is unknown or if the output
// goes to the same terminal, where it shows the progress by itself.
func newProgress(cmd *cobra.Command, total int64) *progress {
	p := &progress{w: cmd.ErrOrStderr()}
	if total > 0 && isTerminal(p.w) && !isTerminal(cmd.OutOrStdout()) {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionThrottle(redraw),
			progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	}
	return p
}

func (p *progress) set(n int64) {
	if p.bar != nil {
		p.bar.Set64(n)
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Finish()
	}
}

func (p *progress) Write(b []byte) (int, error) {
	if p.bar != nil {
		p.bar.Clear()
	}
	return p.w.Write(b)
}

// stages shows work that goes through several stages, each a bar of its own; nothing where stderr is
// no terminal.
type stages struct {
	w     io.Writer
	stage string
	bar   *progressbar.ProgressBar
}

func (s *stages) set(stage string, done, total int) {
	if !isTerminal(s.w) {
		return
	}
	if stage != s.stage {
		s.finish()
		s.stage = stage
		s.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(s.w), progressbar.OptionThrottle(redraw),
			progressbar.OptionSetDescription(stage), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true))
	}
	s.bar.Set(done)
}

// finish leaves the bar as it is and begins a new line.
func (s *stages) finish() {
	if s.bar != nil {
		s.bar.Exit()
		fmt.Fprintln(s.w)
		s.bar = nil
	}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
