package models

import (
	"encoding/json"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// card is what the files of a model say of its making.
type card struct {
	names   []string // under which it may be known, the most certain first
	shorter bool     // it was trained so that a beginning of a vector is a vector too
	dims    []int    // how long these beginnings are, ascending; nil if any length will do
}

const (
	cardFile = "README.md"
	maxCard  = 1 << 20 // a README is read only up to here
)

// readCard gathers what README.md, config.json of the transformer in dir and
// config_sentence_transformers.json say. Nothing that it cannot read is an error: the card is prose, and
// the configurations are checked by those who cannot do without them.
func (f *folder) readCard(dir string) card {
	var c card
	var config struct {
		Name       string `json:"_name_or_path"`
		Matryoshka bool   `json:"is_matryoshka"`         // these two are vLLM's
		Dimensions []int  `json:"matryoshka_dimensions"` // names
	}
	var sentences struct {
		Truncate   *int  `json:"truncate_dim"`
		Dimensions []int `json:"matryoshka_dims"`
	}
	_ = f.optional(path.Join(dir, configFile), &config)
	_ = f.optional(path.Join(f.dir, promptsFile), &sentences)
	text := f.readText(path.Join(f.dir, cardFile))
	for _, name := range append(cardNames(text), f.name, config.Name) {
		if name != "" {
			c.names = append(c.names, name)
		}
	}
	c.dims = slices.Concat(config.Dimensions, sentences.Dimensions, cardDimensions(text))
	if sentences.Truncate != nil {
		c.dims = append(c.dims, *sentences.Truncate)
	}
	c.dims = slices.DeleteFunc(c.dims, func(n int) bool { return n < 1 })
	slices.Sort(c.dims)
	c.dims = slices.Compact(c.dims)
	c.shorter = config.Matryoshka || len(c.dims) > 0 || strings.Contains(text, "loss:MatryoshkaLoss")
	return c
}

// readText returns the beginning of a text file, or nothing if it cannot be read.
func (f *folder) readText(name string) string {
	file, err := f.fsys.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data := make([]byte, min(info.Size(), maxCard))
	n, _ := file.Read(data) // one that gives less than its size is as good as cut there
	return string(data[:n])
}

// cardNames finds the model's names in the lines between the first two "---" of a model card, under
// model-index, where results of benchmarks are filed.
func cardNames(text string) []string {
	head, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return nil
	}
	head, _, _ = strings.Cut(head, "\n---")
	_, index, ok := strings.Cut("\n"+head, "\nmodel-index:")
	if !ok {
		return nil
	}
	for line := range strings.Lines(index) {
		if name, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "- name:"); ok {
			return []string{strings.Trim(strings.TrimSpace(name), `"'`)}
		}
	}
	return nil
}

// matryoshkaDims is how the cards that sentence-transformers writes list the dimensions of MatryoshkaLoss.
var matryoshkaDims = regexp.MustCompile(`"matryoshka_dims":\s*(\[[\d,\s]*\])`)

func cardDimensions(text string) []int {
	var dims []int
	if m := matryoshkaDims.FindStringSubmatch(text); m != nil && json.Unmarshal([]byte(m[1]), &dims) != nil {
		return nil
	}
	return dims
}

// folderName is the name of a model that lies at path: that of the folder or, in the cache of
// huggingface_hub (models--org--name/snapshots/hash), of the model there.
func folderName(dir string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	absolute = filepath.ToSlash(absolute)
	if snapshots := path.Dir(absolute); path.Base(snapshots) == "snapshots" {
		if name, ok := strings.CutPrefix(path.Base(path.Dir(snapshots)), "models--"); ok {
			return strings.ReplaceAll(name, "--", "/")
		}
	}
	return path.Base(absolute)
}

// cardLicence finds the licence in the lines between the first two "---" of a model card.
func cardLicence(text string) string {
	head, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return ""
	}
	head, _, _ = strings.Cut(head, "\n---")
	for line := range strings.Lines(head) {
		if name, ok := strings.CutPrefix(line, "license:"); ok {
			return strings.Trim(strings.TrimSpace(name), `"'`)
		}
	}
	return ""
}
