package models

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/maida-ai/gomai/types"
)

// Option is a setting of one call, or, given to Open, of every call that does not say otherwise.
type Option = types.EmbedOption

type role int64

const (
	roleNone role = iota
	roleQuery
	roleDocument
)

// AsQuery and AsDocument say what a text is to a search. A model that was trained with a prompt for
// that role gets the text with the prompt before it; to others the role means nothing. The prompts are
// those of config_sentence_transformers.json; where that has none, of a model that is known by the name
// of its folder, in its model card or in its config.json. Describe tells them.
var (
	AsQuery    = Option{Kind: types.OptionRole, Value: int64(roleQuery)}
	AsDocument = Option{Kind: types.OptionRole, Value: int64(roleDocument)}
)

// MaxTokens sets the number of tokens, special ones included, beyond which a text is too long. It
// may exceed the model's own limit up to the number of its positions.
func MaxTokens(n int) Option {
	return Option{Kind: types.OptionMaxTokens, Value: int64(n)}
}

// OverflowRule says what happens to a text that is too long.
type OverflowRule int64

// The rules for long texts.
const (
	Truncate OverflowRule = iota // embed the beginning and say so in Info; the default
	Refuse                       // return a *LengthError
)

// Overflow sets the rule for texts that are too long.
func Overflow(rule OverflowRule) Option {
	return Option{Kind: types.OptionOverflow, Value: int64(rule)}
}

// NumberFormat is the format in which a model computes.
type NumberFormat int64

// The number formats. Auto is the default: the fastest that keeps the model's quality, and for
// static tables the one they are stored in.
const (
	Auto NumberFormat = iota
	F32
	BF16
	Int8
)

func (f NumberFormat) String() string {
	switch f {
	case Auto:
		return "auto"
	case F32:
		return "f32"
	case BF16:
		return "bf16"
	case Int8:
		return "int8"
	}
	return fmt.Sprintf("NumberFormat(%d)", int64(f))
}

// Precision sets the number format. One that the model does not offer is an *OptionError. BF16 is for
// encoders opened from weights that are not packed, on processors with AVX512_BF16 or AMX_BF16: weights and
// what they are multiplied by are rounded to bfloat16, all else is as in F32. Auto never takes it. Unlike
// int8 vectors those of BF16 are not the same bits with AMX as with AVX-512, which add in another order.
func Precision(f NumberFormat) Option {
	return Option{Kind: types.OptionPrecision, Value: int64(f)}
}

// Logger sets who is told, in one line each, of texts that were not read as the caller may think:
// ill-formed UTF-8, and less than half of the words known.
func Logger(l *slog.Logger) Option {
	return Option{Kind: types.OptionLogger, Any: l}
}

// Batching says whether calls that are inside at the same time share the work, which is the default:
// as many compute at once as GOMAXPROCS says, texts that have to wait are computed together, and equal
// ones once. A call that finds a processor free computes at once. Batching(false) always does, beside
// all others, as many as there may be. Static models do not batch: they are quicker than a queue.
//
// Calls that wait do so on a channel. In a testing/synctest bubble use a model that was opened there.
func Batching(on bool) Option {
	o := Option{Kind: types.OptionBatching}
	if on {
		o.Value = 1
	}
	return o
}

// Interactive and Bulk say whose texts are computed first when calls have to wait: interactive ones, but
// a quarter of the tokens are for bulk if any waits. Without them EmbedBatchInto is Bulk from the number
// of texts on that are more than one batch, and all other calls are Interactive.
var (
	Interactive = Option{Kind: types.OptionClass, Value: int64(interactive)}
	Bulk        = Option{Kind: types.OptionClass, Value: int64(bulk)}
)

// QueueLimit sets how many calls may wait for a processor, 4096 by default. One that comes when as many
// wait gets ErrOverloaded at once; a call of many texts counts as one, and is not refused once it is in.
func QueueLimit(n int) Option {
	return Option{Kind: types.OptionQueueLimit, Value: int64(n)}
}

const defaultQueueLimit = 4096

// TokenizerFile lets Open take the tokeniser from elsewhere than beside the weights: a tokenizer.json, a
// vocab.txt, or a folder with one of them. Calls do not take it.
func TokenizerFile(path string) Option {
	return Option{Kind: types.OptionTokenizer, Any: path}
}

// opening is what the options come to that Open and Pack read.
type opening struct {
	precision NumberFormat
	logger    *slog.Logger // nil for silence

	// Of options that calls do not take.
	tokenizer   string   // a file, or "" for the model's own
	calibration []string // nil for the texts that the package carries
	cache       string   // a folder, or "" for none
	licence     string
	runner      types.Runner                        // nil for the caller's goroutine
	progress    func(stage string, done, total int) // nil for nobody
}

// openOnly names the options that calls do not take.
var openOnly = map[types.EmbedOptionKind]string{
	types.OptionTokenizer:   "TokenizerFile",
	types.OptionCalibration: "Calibration",
	types.OptionSpread:      "Spread",
	types.OptionProgress:    "Progress",
	types.OptionLicence:     "Licence",
	types.OptionCache:       "Cache",
}

// read changes o by opts and returns those that are settings of calls too.
func (o *opening) read(opts []Option) (forCalls []Option) {
	for _, option := range opts {
		switch option.Kind {
		case types.OptionPrecision:
			o.precision = NumberFormat(option.Value)
		case types.OptionLogger:
			o.logger, _ = option.Any.(*slog.Logger)
		case types.OptionTokenizer:
			o.tokenizer, _ = option.Any.(string)
		case types.OptionCalibration:
			o.calibration, _ = option.Any.([]string)
		case types.OptionCache:
			o.cache, _ = option.Any.(string)
		case types.OptionLicence:
			o.licence, _ = option.Any.(string)
		case types.OptionSpread:
			o.runner, _ = option.Any.(types.Runner)
		case types.OptionProgress:
			o.progress, _ = option.Any.(func(stage string, done, total int))
		}
		if openOnly[option.Kind] == "" {
			forCalls = append(forCalls, option)
		}
	}
	return forCalls
}

// warn tells the logger, if there is one.
func (o *opening) warn(message string, attr slog.Attr) {
	if o.logger != nil {
		o.logger.LogAttrs(context.Background(), slog.LevelWarn, message, attr)
	}
}

// OptionError is returned for a setting that makes no sense, or none for this model.
type OptionError struct {
	Option string // as in this package: "MaxTokens"
	Reason string
}

func (e *OptionError) Error() string { return "models: " + e.Option + ": " + e.Reason }

// settings are what the options of Open and of a call come to.
type settings struct {
	role      role
	maxTokens int // 0 for no limit
	overflow  OverflowRule
	logger    *slog.Logger // nil for silence
	dims      int          // components of a vector
	output    OutputFormat

	direct     bool  // not by way of the batcher
	class      class // classes for what the call is by itself
	queueLimit int
}

// intoFloats is apply for a call that writes float32 into the caller's memory.
func (m *Model) intoFloats(opts []Option) (settings, error) {
	set, err := m.apply(m.defaults, opts)
	if err == nil && set.output != OutputF32 {
		err = &OptionError{"Output", "only Embed makes other forms than float32"}
	}
	return set, err
}

// apply returns s changed by opts, checked against what m can do.
func (m *Model) apply(s settings, opts []Option) (settings, error) {
	for i := range opts {
		switch o := &opts[i]; o.Kind {
		case types.OptionNone:
		case types.OptionRole:
			if o.Value < int64(roleNone) || o.Value > int64(roleDocument) {
				return s, &OptionError{"AsQuery, AsDocument", fmt.Sprintf("unknown role %d", o.Value)}
			}
			s.role = role(o.Value)
		case types.OptionMaxTokens:
			limit := m.encoder.positions()
			if least := minTokens(m.tokenizer); o.Value < int64(least) {
				return s, &OptionError{"MaxTokens", fmt.Sprintf("%d tokens, at least %d are needed", o.Value, least)}
			}
			if limit > 0 && o.Value > int64(limit) {
				return s, &OptionError{"MaxTokens", fmt.Sprintf("%d tokens, the model has positions for %d", o.Value, limit)}
			}
			s.maxTokens = int(o.Value)
		case types.OptionOverflow:
			if s.overflow = OverflowRule(o.Value); s.overflow != Truncate && s.overflow != Refuse {
				return s, &OptionError{"Overflow", fmt.Sprintf("unknown rule %d", o.Value)}
			}
		case types.OptionPrecision:
			if f := NumberFormat(o.Value); !m.encoder.offers(f) {
				return s, &OptionError{"Precision", fmt.Sprintf("%v is not offered by this model as it was opened, which computes in %s", f, m.encoder.precision())}
			}
		case types.OptionLogger:
			s.logger, _ = o.Any.(*slog.Logger)
		case types.OptionDimensions:
			if err := m.checkDimensions(o.Value); err != nil {
				return s, err
			}
			s.dims = int(o.Value)
		case types.OptionOutput:
			if s.output = OutputFormat(o.Value); s.output < OutputF32 || s.output > OutputBits {
				return s, &OptionError{"Output", fmt.Sprintf("unknown form %d", o.Value)}
			}
		case types.OptionBatching:
			s.direct = o.Value == 0
		case types.OptionClass:
			if o.Value < 0 || o.Value >= int64(classes) {
				return s, &OptionError{"Interactive, Bulk", fmt.Sprintf("unknown class %d", o.Value)}
			}
			s.class = class(o.Value)
		case types.OptionQueueLimit:
			if o.Value < 0 {
				return s, &OptionError{"QueueLimit", fmt.Sprintf("%d calls, at least 0 are needed", o.Value)}
			}
			s.queueLimit = int(o.Value)
		default:
			if name := openOnly[o.Kind]; name != "" {
				return s, &OptionError{name, "is for opening and packing a model, not for a call"}
			}
			return s, &OptionError{"Option", fmt.Sprintf("unknown kind %d", o.Kind)}
		}
	}
	return s, nil
}
