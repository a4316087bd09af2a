package distill

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/models/modelfile"
)

// Open reads the encoder in a model folder, as models.Open does, and what the record needs to know of
// it. Its weights and tokenizer.json must lie in the folder itself. The caller closes it.
//
// Errors: *modelfile.Error, for a static table too.
func Open(dir string) (*Source, error) {
	m, err := models.Open(dir, models.Precision(models.F32))
	var option *models.OptionError
	if errors.As(err, &option) { // a table offers nothing but what it is stored in
		return nil, modelfile.Errorf(dir, "", "the model has no hidden states to learn from: %s", option.Reason)
	}
	if err != nil {
		return nil, err
	}
	d := m.Describe()
	s := &Source{
		Read: m.HiddenInto, HiddenSize: d.Dim, MaxTokens: d.MaxTokens,
		Tokenizer: m.Tokenizer(), close: m.Close,
	}
	err = s.record(dir)
	if err == nil && d.Hidden != 0 && d.Hidden != d.Dim {
		err = modelfile.Errorf(dir, "", "vectors of %d components are made of states of %d: only models with as many are distilled", d.Dim, d.Hidden)
	}
	if err == nil {
		err = s.try(dir)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return s, nil
}

// Close gives the encoder's memory back.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// try reads an empty text, which a model without hidden states refuses.
func (s *Source) try(dir string) error {
	ids := s.Tokenizer.AppendSpecial(nil, nil)
	err := s.Read(context.Background(), ids, make([]float32, len(ids)*s.HiddenSize), make([]float32, s.HiddenSize))
	if err != nil {
		return modelfile.Wrap(dir, err)
	}
	return nil
}

// record fills in where the encoder comes from.
func (s *Source) record(dir string) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return modelfile.Wrap(dir, err)
	}
	s.Name = filepath.Base(absolute)
	if s.TokenizerJSON, err = modelfile.ReadFile(os.DirFS(dir), tokenizerName); err != nil {
		return rename(dir, err)
	}
	if s.Weights, err = hashFile(filepath.Join(dir, "model.safetensors")); err != nil {
		return err
	}
	card, err := modelfile.ReadFile(os.DirFS(dir), "README.md")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rename(dir, err)
	}
	s.License = licenseOf(string(card))
	return nil
}

// rename puts the folder into an error that knows the file alone.
func rename(dir string, err error) error {
	var bad *modelfile.Error
	if errors.As(err, &bad) {
		bad.File = filepath.Join(dir, bad.File)
	}
	return err
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", modelfile.Wrap(name, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", modelfile.Wrap(name, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// licenseOf finds the licence that a model card names in the lines between its first two "---".
func licenseOf(card string) string {
	if !strings.HasPrefix(card, "---\n") {
		return ""
	}
	head, _, ok := strings.Cut(card[4:], "\n---")
	if !ok {
		return ""
	}
	for line := range strings.Lines(head) {
		if value, ok := strings.CutPrefix(line, "license:"); ok {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}
