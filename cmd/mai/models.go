package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/maida-ai/gomai/models"
)

// builtinName is what the model in the binary is called where a path would stand.
const builtinName = "builtin"

// modelRecord is what models prints with --json for a model.
type modelRecord struct {
	Model     string  `json:"model"` // its folder or file, or "builtin"
	Error     *string `json:"error"` // why it cannot be opened
	Kind      string  `json:"kind,omitempty"`
	Dim       int     `json:"dim,omitempty"`
	MaxTokens int     `json:"max_tokens,omitempty"`
}

func newModels() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "models [FOLDER]",
		Short: "List the models there are, or show what one is",
		Long: `List the built-in model and those in FOLDER and the folders below it, or, without FOLDER, the packed
ones in the user's cache. Each is opened, so what is listed without an error can be used.

'mai models show MODEL' prints all that is known of one. With --json a model is one line.`,
		Example: "  mai models",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := findModels(args)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
			if !wantsJSON(cmd) {
				fmt.Fprintln(table, "model\tkind\tdim\tmax tokens")
			}
			for _, path := range append([]string{builtinName}, paths...) {
				r := describe(path)
				if wantsJSON(cmd) {
					if err := json.NewEncoder(out).Encode(r); err != nil {
						return outputError(err)
					}
					continue
				}
				if r.Error != nil {
					fmt.Fprintf(table, "%s\t%s\n", oneField(path), oneField(*r.Error))
					continue
				}
				fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", oneField(path), r.Kind, r.Dim, limit(r.MaxTokens))
			}
			return outputError(table.Flush())
		},
	}
	cmd.AddCommand(newModelsShow())
	return cmd
}

func newModelsShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show MODEL",
		Short: "Show what a model is",
		Long: `Show what a model is: its size, limits, prompts, precision and the space of its vectors. MODEL is a
folder, a file, or "builtin".`,
		Example: "  mai models show builtin",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bars := &stages{w: cmd.ErrOrStderr()}
			d, err := openAndDescribe(args[0], models.Progress(bars.set))
			bars.finish()
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return outputError(json.NewEncoder(cmd.OutOrStdout()).Encode(d))
			}
			return outputError(printFields(cmd.OutOrStdout(), d))
		},
	}
}

// findModels lists the folders with models in the folder that was named, or else in the user's cache,
// which may be missing.
func findModels(args []string) ([]string, error) {
	root := ""
	if len(args) > 0 {
		root = args[0]
	} else {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, nil // a user without a home has no cache
		}
		root = filepath.Join(cache, "gomai")
		if _, err := os.Stat(root); err != nil {
			return nil, nil
		}
	}
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return &inputError{File: path, Err: cause(err)}
		}
		if path == root && !d.IsDir() {
			return &inputError{File: path, Err: fmt.Errorf("not a folder: 'mai models show %s' shows one model", path)}
		}
		switch {
		case d.IsDir() && isModel(path):
			found = append(found, path)
			return fs.SkipDir // what lies below are its modules
		case d.Type().IsRegular() && filepath.Ext(path) == ".gomai":
			found = append(found, path)
		}
		return nil
	})
	return found, err
}

// isModel says whether a folder looks like that of a model.
func isModel(dir string) bool {
	for _, name := range []string{"modules.json", "model.safetensors", "tokenizer.json"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

func openAndDescribe(path string, opts ...models.Option) (models.Description, error) {
	if path == builtinName {
		path = ""
	}
	m, err := openModel(path, opts...)
	if err != nil {
		return models.Description{}, err
	}
	defer m.Close()
	return m.Describe(), nil
}

// describe opens a model in float32, if it offers that: a list shall not pack what is in it.
func describe(path string) modelRecord {
	d, err := openAndDescribe(path, models.Precision(models.F32))
	var refused *models.OptionError
	if errors.As(err, &refused) {
		d, err = openAndDescribe(path)
	}
	if err != nil {
		text := err.Error()
		return modelRecord{Model: path, Error: &text}
	}
	return modelRecord{Model: path, Kind: d.Kind, Dim: d.Dim, MaxTokens: d.MaxTokens}
}

func limit(tokens int) string {
	if tokens == 0 {
		return "none"
	}
	return fmt.Sprint(tokens)
}

// printFields prints the fields of a struct as a table, by their JSON names. Those that JSON would leave
// out, because they say nothing, are left out.
func printFields(out io.Writer, v any) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		name, rest, _ := strings.Cut(s.Type().Field(i).Tag.Get("json"), ",")
		if rest == "omitempty" && s.Field(i).IsZero() {
			continue
		}
		field := s.Field(i).Interface()
		if text, ok := field.(string); ok && strings.HasSuffix(name, "prompt") {
			field = fmt.Sprintf("%q", text) // the space at its end counts
		}
		if s.Field(i).Kind() == reflect.Slice || s.Field(i).Kind() == reflect.Struct || s.Field(i).Kind() == reflect.Map {
			data, err := json.Marshal(field)
			if err != nil {
				return err
			}
			field = string(data)
		}
		fmt.Fprintf(w, "%s\t%v\n", strings.ReplaceAll(name, "_", " "), oneField(fmt.Sprint(field)))
	}
	return w.Flush()
}
