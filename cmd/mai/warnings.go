package main

import (
	"fmt"
	"io"
)

// flaw is something about a text that its vector does not show.
type flaw int

const (
	illFormed   flaw = iota // not UTF-8
	truncated               // longer than the model reads
	unknown                 // mostly words that the vocabulary lacks
	zeroQuery               // without a direction that rows could be alike to
	roleMissing             // embedded without a role by a model that was trained to be told
	flaws
)

// mostlyUnknown is the share of known tokens below which a text counts as unknown.
const mostlyUnknown = 0.5

// flawed is a text with a flaw.
type flawed struct {
	text int // its number
	flaw flaw
}

// flawWords holds, for each flaw, how one text is told and how many of all are.
var flawWords = [flaws]struct{ one, many string }{
	illFormed: {
		"%s is not UTF-8: each ill-formed part is read as U+FFFD",
		"%d of %d texts are not UTF-8",
	},
	truncated: {
		"%s is longer than the model reads: the rest of it is ignored",
		"%d of %d texts are longer than the model reads",
	},
	unknown: {
		"less than half of %s is in the model's vocabulary, so its vector says little; --model takes a multilingual model",
		"%d of %d texts are mostly outside the model's vocabulary",
	},
	roleMissing: {
		"%s is embedded without a role, and the model was trained to be told: --role query or --role document",
		"%d of %d texts are embedded without a role",
	},
	zeroQuery: {
		"the vector of %s is zero: by cosine and dot all rows score 0, and their order means nothing",
		"the vectors of %d of %d texts are zero: the order of their rows means nothing",
	},
}

// warnings tells the first text with each flaw at once and how many there were at the end, so a
// million bad lines are two lines on stderr.
type warnings struct {
	w      io.Writer
	nameOf func(text int) string
	count  [flaws]int
}

func (w *warnings) tell(f flawed) {
	w.count[f.flaw]++
	if w.count[f.flaw] == 1 {
		fmt.Fprintf(w.w, "mai: warning: "+flawWords[f.flaw].one+"\n", w.nameOf(f.text))
	}
}

func (w *warnings) sum(texts int) {
	for f, n := range w.count {
		if n > 1 {
			fmt.Fprintf(w.w, "mai: warning: "+flawWords[f].many+"\n", n, texts)
		}
	}
}
