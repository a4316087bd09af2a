package models

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/maida-ai/gomai/models/bert"
	"github.com/maida-ai/gomai/models/safetensors"
	"github.com/maida-ai/gomai/models/tokenizer"
	"github.com/maida-ai/gomai/simd"
	"github.com/maida-ai/gomai/types"
)

// Calibration gives Open other texts than those it carries to find the ranges of values on that int8
// layers are made for: texts like those that will be embedded, a hundred or more; fewer than 32 are refused.
// Every eighth of them, and of those that it carries, is kept for measuring what int8 loses. It is for Open alone.
func Calibration(texts []string) Option {
	return Option{Kind: types.OptionCalibration, Any: texts}
}

// Spread gives Open a Runner over which the work of one batch is spread. Without it a batch is computed on
// one goroutine. It is for Open alone.
func Spread(r types.Runner) Option { return Option{Kind: types.OptionSpread, Any: r} }

// leastTexts is the least number of texts to calibrate with.
const leastTexts = 32

//go:embed calibration.json
var calibrationJSON []byte

// calibrationTexts returns the texts carried for packing: ordinary and odd ones in many forms, and
// long ones made of them.
func calibrationTexts() (texts []string) {
	if err := json.Unmarshal(calibrationJSON, &texts); err != nil {
		panic(err) // a broken build
	}
	return texts
}

// load makes e compute what the options of Open ask for: in int8 if that is possible and good enough, unless
// they say float32 or bfloat16.
func (e *bertEncoder) load(s bert.Source, t *tokenizer.Tokenizer, o *opening) (err error) {
	e.run = o.runner
	switch o.precision {
	case Auto, Int8:
		err := e.loadInt8(s, t, o)
		var unfit *bert.Unfit
		if !errors.As(err, &unfit) {
			return err
		}
		if o.precision == Int8 {
			return &OptionError{"Precision", fmt.Sprintf("int8 is not offered by this model: %s", unfit.Reason)}
		}
		o.warn("the model computes in float32 and not in int8", slog.String("reason", unfit.Reason))
	case BF16:
		if !simd.HasBF16() {
			return &OptionError{"Precision", "this CPU has no bf16 arithmetic that is in use: neither AVX512_BF16 nor AMX_BF16"}
		}
		e.bf16 = true
		e.floats, err = bert.LoadBF16(e.config, s)
		return err
	}
	e.floats, err = bert.Load(e.config, s)
	return err
}

// loadInt8 takes the int8 form from the cache, or makes it and puts it there. A cache that cannot be read or
// written is as good as none, but for a word to the logger.
func (e *bertEncoder) loadInt8(s bert.Source, t *tokenizer.Tokenizer, o *opening) error {
	if o.calibration != nil && len(o.calibration) < leastTexts {
		return &OptionError{"Calibration", fmt.Sprintf("%d texts, at least %d are needed", len(o.calibration), leastTexts)}
	}
	var source, path string
	if o.cache != "" {
		sum, err := bert.SourceSum(e.config, s)
		if err != nil {
			return err
		}
		source = hex.EncodeToString(sum[:])
		path = e.cachePath(o, source)
		if f, err := safetensors.Open(path); err == nil {
			q, man, err := loadPacked(f)
			if err == nil && man.Source == source {
				e.int8, e.cached = q, f
				e.warnOfFloats(o)
				return nil
			}
			f.Close()
		}
	}
	var err error
	if e.int8, err = e.quantize(s, t, o); err != nil {
		return err
	}
	e.warnOfFloats(o)
	if path != "" {
		err := os.MkdirAll(o.cache, 0o755)
		if err == nil {
			err = writeWhole(path, func(w io.Writer) error { return writePacked(w, e.int8, manifest{Source: source}, nil) })
		}
		if err != nil {
			o.warn("the packed model could not be kept, the next process packs it again", slog.Any("error", err))
		}
	}
	return nil
}

// cachePath is where the int8 form of a source is kept: under a name that hangs on all that it is made of.
func (e *bertEncoder) cachePath(o *opening, source string) string {
	key := sha256.Sum256([]byte(source + "\n" + e.shape() + "\n" + strings.Join(o.calibration, "\x00")))
	return filepath.Join(o.cache, fmt.Sprintf("%x-%s-v%d.packed", key[:16], packedRecipe, packedVersion))
}

func (e *bertEncoder) warnOfFloats(o *opening) {
	q := e.int8.Quality()
	if layers := q.FloatLayers(); len(layers) > 0 {
		o.warn("layers would lose too much in int8 and compute in float32", slog.Any("layers", layers))
	}
}

// quantize makes the int8 form of the encoder.
func (e *bertEncoder) quantize(s bert.Source, t *tokenizer.Tokenizer, o *opening) (*bert.Int8, error) {
	var c bert.Calibration
	if o.progress != nil {
		c.Progress = func(done, total int) { o.progress("packing layers", done, total) }
	}
	work := new(scratch)
	vector := make([]float32, e.dim())
	c.Vector = func(hidden []float32) ([]float32, error) { return vector, e.finish(hidden, vector, work) }
	var err error
	if c.Texts, c.Check, err = e.splitTexts(t, calibrationTexts()); err != nil {
		return nil, err
	}
	if o.calibration != nil { // what is measured shall mean the same whoever gave the texts, so all are checked
		texts, check, err := e.splitTexts(t, o.calibration)
		if err != nil {
			return nil, err
		}
		c.Texts, c.Check = texts, append(c.Check, check...)
	}
	return bert.Quantize(e.config, s, &c)
}

// splitTexts tokenises texts and long ones made of them: seven of eight to find ranges on, one to check with.
func (e *bertEncoder) splitTexts(t *tokenizer.Tokenizer, texts []string) (ranges, check [][]int32, err error) {
	var short [][]int32
	for _, text := range texts {
		tokens, err := t.Tokenize(text)
		if err != nil {
			return nil, nil, err
		}
		short = append(short, cutIDs(tokens.IDs, e.config.Positions))
	}
	for i, ids := range append(short, longTexts(t, texts, e.config.Positions)...) {
		if i%8 == 7 {
			check = append(check, ids)
		} else {
			ranges = append(ranges, ids)
		}
	}
	return ranges, check, nil
}

// cutIDs leaves limit ids of a text, the last one included.
func cutIDs(ids []int32, limit int) []int32 {
	if len(ids) <= limit {
		return ids
	}
	return append(slices.Clone(ids[:limit-1]), ids[len(ids)-1])
}

// longTexts joins texts to long ones: four as long as the positions allow, four of half and eight of a
// quarter of that.
func longTexts(t *tokenizer.Tokenizer, texts []string, positions int) (long [][]int32) {
	next := 0
	for i := range 16 {
		limit := positions >> []int{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2}[i]
		var all strings.Builder
		for ; all.Len() < 6*limit; next++ { // a space at least is added
			all.WriteString(texts[next%len(texts)])
			all.WriteByte(' ')
		}
		tokens, err := t.Tokenize(all.String())
		if err == nil {
			long = append(long, cutIDs(tokens.IDs, limit))
		}
	}
	return long
}
