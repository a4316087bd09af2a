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
	flag  string // the name of the flag that names the file; "" is "file"
	file  string
	jsonl *bool // nil if not given: the name of the file decides
}

func (in *input[T]) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&in.file, in.flagName(), "", in.kind.flag)
	f.BoolFunc("jsonl", in.kind.jsonFlag, func(s string) error {
		on, err := strconv.ParseBool(s)
		in.jsonl = &on
		return err
	})
}

func (in *input[T]) flagName() string {
	if in.flag == "" {
		return "file"
	}
	return in.flag
}

// open returns the items that the command line names.
func (in *input[T]) open(args []T, stdin io.Reader) (*source[T], error) {
	jsonl := in.jsonl != nil && *in.jsonl
	switch {
	case in.file == "" && len(args) == 0:
		return nil, usagef("no %[1]s: give it as an argument, or a file of %[1]ss with --%[2]s (--%[2]s - reads stdin)", in.kind.item, in.flagName())
	case in.file != "" && len(args) > 0:
		return nil, in.twoSources()
	case in.file == "" && jsonl:
		return nil, usagef("--jsonl tells how to read --%s, which is not given", in.flagName())
	case in.file == "":
		return &source[T]{kind: in.kind, args: args}, nil
	case in.file == "-":
		return &source[T]{kind: in.kind, name: "stdin", r: stdin, jsonl: jsonl}, nil
	}
	f, info, err := openFile(in.file)
	if err != nil {
		return nil, err
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

// openFile opens a file that is no directory.
func openFile(path string) (*os.File, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, &inputError{File: path, Err: cause(err)}
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("a directory where a file belongs")
	}
	if err != nil {
		f.Close()
		return nil, nil, &inputError{File: path, Err: cause(err)}
	}
	return f, info, nil
}

func (in *input[T]) twoSources() error {
	return usagef("texts both as arguments and from --%s %s", in.flagName(), in.file)
}

// cause drops the operation and path that package os puts before an error.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
