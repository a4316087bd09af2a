package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models/modelfile"
)

// kind is what a command works through, one item a line: how a line is read, and what messages call
// the items and the texts in them.
type kind[T any] struct {
	item     string                       // "text"
	flag     string                       // the help of --file
	jsonFlag string                       // the help of --jsonl
	plain    func(line []byte) (T, error) // reads a line of a plain file
	jsonLine func(line []byte) (T, error) // reads a line of JSON lines
	texts    int                          // texts in an item
	nameOf   func(text int) string        // what to call a text, given its number among those of all items
}

// texts are items that are one text each.
var texts = kind[string]{
	item:     "text",
	flag:     "read the texts from `FILE`, one a line; - is stdin",
	jsonFlag: `a line is {"text": "..."}; on by itself for *.jsonl`,
	plain:    func(line []byte) (string, error) { return string(line), nil },
	jsonLine: func(line []byte) (string, error) {
		var v struct {
			Text *string `json:"text"`
		}
		if err := modelfile.DecodeJSON("", line, &v); err != nil {
			return "", err
		}
		if v.Text == nil {
			return "", missing("text")
		}
		return *v.Text, nil
	},
	texts:  1,
	nameOf: textName,
}

func textName(text int) string { return fmt.Sprintf("text %d", text) }

func missing(field string) error { return modelfile.Errorf("", field, "missing, or null") }

// input is where a command takes its items from: --file and --jsonl, or the arguments.
type input[T any] struct {
	kind  kind[T]
	file  string
	jsonl *bool // nil if not given: the name of the file decides
}

func (in *input[T]) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&in.file, "file", "", in.kind.flag)
	f.BoolFunc("jsonl", in.kind.jsonFlag, func(s string) error {
		on, err := strconv.ParseBool(s)
		in.jsonl = &on
		return err
	})
}

// open returns the items that the command line names.
func (in *input[T]) open(args []T, stdin io.Reader) (*source[T], error) {
	jsonl := in.jsonl != nil && *in.jsonl
	switch {
	case in.file == "" && len(args) == 0:
		return nil, usagef("no %[1]s: give it as an argument, or a file of %[1]ss with --file (--file - reads stdin)", in.kind.item)
	case in.file != "" && len(args) > 0:
		return nil, twoSources(in.file)
	case in.file == "" && jsonl:
		return nil, usagef("--jsonl tells how to read --file, which is not given")
	case in.file == "":
		return &source[T]{kind: in.kind, args: args}, nil
	case in.file == "-":
		return &source[T]{kind: in.kind, name: "stdin", r: stdin, jsonl: jsonl}, nil
	}
	f, err := os.Open(in.file)
	if err != nil {
		return nil, &inputError{File: in.file, Err: cause(err)}
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("a directory where a file belongs")
	}
	if err != nil {
		f.Close()
		return nil, &inputError{File: in.file, Err: cause(err)}
	}
	s := &source[T]{kind: in.kind, name: in.file, r: f, c: f, jsonl: jsonl}
	if in.jsonl == nil {
		s.jsonl = strings.EqualFold(filepath.Ext(in.file), ".jsonl")
	}
	if info.Mode().IsRegular() {
		s.size = info.Size()
	}
	return s, nil
}

func twoSources(file string) error {
	return usagef("texts both as arguments and from --file %s", file)
}

// cause drops the operation and path that package os puts before an error.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
