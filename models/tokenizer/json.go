package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader walks through a JSON text without building it in memory: a vocabulary of 30,000 tokens
// takes a millisecond, with encoding/json ten. It accepts what encoding/json accepts, less unpaired
// surrogates.
type jsonReader struct {
	data []byte
	pos  int
}

// offsetError is an error with its place in the file.
type offsetError struct {
	pos int
	msg string
}

func (e *offsetError) Error() string { return e.msg }

func (r *jsonReader) fail(format string, args ...any) error {
	return &offsetError{r.pos, fmt.Sprintf(format, args...)}
}

// maxDepth bounds the nesting of values, as encoding/json does.
const maxDepth = 10000

// peek skips white space and returns the next byte, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

// expect reads the byte c.
func (r *jsonReader) expect(c byte) error {
	if got := r.peek(); got != c || r.pos == len(r.data) {
		return r.unexpected(fmt.Sprintf("%q", c))
	}
	r.pos++
	return nil
}

func (r *jsonReader) unexpected(want string) error {
	if r.pos >= len(r.data) {
		return r.fail("broken JSON: it ends where %s should be", want)
	}
	c, _ := utf8.DecodeRune(r.data[r.pos:])
	return r.fail("broken JSON: %q where %s should be", c, want)
}

// object reads an object and calls member with each of its keys, at its value. The key is valid
// until member returns.
func (r *jsonReader) object(member func(key []byte) error) error {
	if r.peek() != '{' {
		return r.unexpected("an object")
	}
	r.pos++
	if r.peek() == '}' {
		r.pos++
		return nil
	}
	for {
		if r.peek() != '"' {
			return r.unexpected("a key")
		}
		key, err := r.string()
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			return nil
		default:
			return r.unexpected(`"," or "}"`)
		}
	}
}

// string reads a string. The result lies in the data itself unless it has escapes.
func (r *jsonReader) string() ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.unexpected("a string")
	}
	r.pos++
	start := r.pos
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; {
		case c == '"':
			r.pos++
			return r.data[start : r.pos-1], nil
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			return nil, r.fail("broken JSON: a control character in a string")
		default:
			r.pos++
		}
	}
	return nil, r.fail("broken JSON: it ends in a string")
}

// escaped reads the rest of a string that begins at start, from its first escape on.
func (r *jsonReader) escaped(start int) ([]byte, error) {
	out := bytes.Clone(r.data[start:r.pos])
	for r.pos < len(r.data) {
		c := r.data[r.pos]
		switch {
		case c == '"':
			r.pos++
			return out, nil
		case c < ' ':
			return nil, r.fail("broken JSON: a control character in a string")
		case c != '\\':
			out = append(out, c)
			r.pos++
		default:
			char, err := r.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, char)
		}
	}
	return nil, r.fail("broken JSON: it ends in a string")
}

// escape reads one escape; a pair of surrogates is one.
func (r *jsonReader) escape() (rune, error) {
	if r.pos+1 >= len(r.data) {
		return 0, r.fail("broken JSON: it ends in a string")
	}
	c := r.data[r.pos+1]
	if c != 'u' {
		const names, chars = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		i := bytes.IndexByte([]byte(names), c)
		if i < 0 {
			return 0, r.fail("broken JSON: an escape that does not exist")
		}
		r.pos += 2
		return rune(chars[i]), nil
	}
	char, err := r.hex()
	if err != nil || !utf16.IsSurrogate(char) {
		return char, err
	}
	at := r.pos
	if bytes.HasPrefix(r.data[r.pos:], []byte(`\u`)) {
		low, err := r.hex()
		if err != nil {
			return 0, err
		}
		if pair := utf16.DecodeRune(char, low); pair != utf8.RuneError {
			return pair, nil
		}
	}
	r.pos = at
	return 0, r.fail("broken JSON: half a surrogate pair")
}

// hex reads an escape of the form \u00e9.
func (r *jsonReader) hex() (rune, error) {
	if r.pos+6 > len(r.data) {
		return 0, r.fail("broken JSON: it ends in a string")
	}
	var v rune
	for _, c := range r.data[r.pos+2 : r.pos+6] {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, r.fail("broken JSON: an escape that does not exist")
		}
	}
	r.pos += 6
	return v, nil
}

// id reads a number that must be an id: an integer from 0 to 2^31-2.
func (r *jsonReader) id() (int32, error) {
	r.peek()
	start, v := r.pos, 0
	for ; r.pos < len(r.data) && v <= maxID; r.pos++ {
		c := r.data[r.pos]
		if c < '0' || c > '9' {
			break
		}
		v = 10*v + int(c-'0')
	}
	digits := r.data[start:r.pos]
	whole := r.pos == len(r.data) || bytes.IndexByte([]byte(".eE0123456789"), r.data[r.pos]) < 0
	if len(digits) == 0 || v > maxID || digits[0] == '0' && len(digits) > 1 || !whole {
		r.pos = start
		raw, err := r.skip(0)
		if err != nil {
			return 0, err
		}
		r.pos = start
		return 0, r.fail("%s is no id: ids are integers from 0 to %d", shorten(raw), maxID)
	}
	return int32(v), nil
}

// shorten quotes the beginning of something from a file.
func shorten(raw []byte) string {
	if len(raw) > 40 {
		return string(bytes.ToValidUTF8(raw[:40], nil)) + "..."
	}
	return string(raw)
}

// skip reads any value and returns its text. depth is how deep it lies.
func (r *jsonReader) skip(depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, r.fail("JSON nested deeper than %d", maxDepth)
	}
	c := r.peek()
	start := r.pos
	var err error
	switch {
	case c == '{':
		err = r.object(func([]byte) error { _, err := r.skip(depth + 1); return err })
	case c == '[':
		err = r.array(func() error { _, err := r.skip(depth + 1); return err })
	case c == '"':
		_, err = r.string()
	case c == '-' || '0' <= c && c <= '9':
		err = r.number()
	default:
		err = r.literal()
	}
	if err != nil {
		return nil, err
	}
	return r.data[start:r.pos], nil
}

// array reads an array and calls element at each of its elements.
func (r *jsonReader) array(element func() error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	if r.peek() == ']' {
		r.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return nil
		default:
			return r.unexpected(`"," or "]"`)
		}
	}
}

func (r *jsonReader) literal() error {
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(r.data[r.pos:], []byte(word)) {
			r.pos += len(word)
			return nil
		}
	}
	return r.unexpected("a value")
}

func (r *jsonReader) number() error {
	at := func(c byte) bool { return r.pos < len(r.data) && r.data[r.pos] == c }
	digits := func() error {
		start := r.pos
		for r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9' {
			r.pos++
		}
		if r.pos == start {
			return r.unexpected("a digit")
		}
		return nil
	}
	if at('-') {
		r.pos++
	}
	if at('0') {
		r.pos++
	} else if err := digits(); err != nil {
		return err
	}
	if at('.') {
		r.pos++
		if err := digits(); err != nil {
			return err
		}
	}
	if at('e') || at('E') {
		r.pos++
		if at('+') || at('-') {
			r.pos++
		}
		return digits()
	}
	return nil
}

// into reads a value into v, a pointer to a struct, as encoding/json does.
func (r *jsonReader) into(v any) error {
	r.peek()
	start := r.pos
	raw, err := r.skip(0)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		msg := err.Error()
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			start += int(wrong.Offset)
			msg = fmt.Sprintf("a JSON %s does not fit here", wrong.Value)
			if wrong.Field != "" {
				msg = wrong.Field + ": " + msg
			}
		}
		return &offsetError{start, msg}
	}
	return nil
}

// end fails if anything follows.
func (r *jsonReader) end() error {
	if r.peek(); r.pos < len(r.data) {
		return r.unexpected("the end")
	}
	return nil
}
