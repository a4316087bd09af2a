package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/internal/testmodel"
)

// normalizer returns a tokeniser that has nothing but rules.
func normalizer(names ...string) *state {
	t := &Tokenizer{}
	for _, name := range names {
		switch name {
		case "clean_text":
			t.rules.cleanText = true
		case "handle_chinese_chars":
			t.rules.chineseChars = true
		case "strip_accents":
			t.rules.stripAccents = true
		case "lowercase":
			t.rules.lowercase = true
		}
	}
	return &state{t: t}
}

func (s *state) normalized(text string) string {
	s.text = text
	return s.normalize(0, len(text))
}

// spell writes the result of normalising c as the fixture does.
func spell(c rune, result string) string {
	var parts []string
	for _, r := range result {
		switch r {
		case c:
			parts = append(parts, "c")
		case ' ':
			parts = append(parts, "_")
		default:
			parts = append(parts, strconv.FormatInt(int64(r-c), 16))
		}
	}
	return strings.Join(parts, ",")
}

// TestCodePoints compares each code point, alone and under each rule, with the reference.
func TestCodePoints(t *testing.T) {
	for _, table := range strings.Split(string(unzip(t, "codepoints.txt.gz")), "# ")[1:] {
		name, lines, _ := strings.Cut(table, "\n")
		rows := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
		t.Run(name, func(t *testing.T) {
			if together, ok := strings.CutPrefix(name, "together "); ok {
				testmodel.Slow(t)
				testDigests(t, normalizer(strings.Fields(together)...), rows)
				return
			}
			s := normalizer(name)
			result := func(c rune) string { return spell(c, s.normalized(string(c))) }
			switch name {
			case "split":
				result = splitOf
			case "word":
				result = func(c rune) string { return strconv.Itoa(int(recordFor(c).flags & isWord / isWord)) }
			}
			testRuns(t, rows, result)
		})
	}
}

// splitOf counts the parts that "a", c, "a" falls into.
func splitOf(c rune) string {
	switch flags := recordFor(c).flags; {
	case flags&isSpace != 0:
		return "2"
	case flags&isPunct != 0:
		return "3"
	}
	return "1"
}

func testRuns(t *testing.T, rows []string, result func(rune) string) {
	seen, bad := 0, 0
	for _, row := range rows {
		var first, last rune
		fields := strings.Split(row, " ")
		if _, err := fmt.Sscanf(fields[0]+" "+fields[1], "%x %x", &first, &last); err != nil {
			t.Fatal(err)
		}
		for c := first; c <= last; c++ {
			seen++
			if got := result(c); got != fields[2] {
				if bad++; bad < 10 {
					t.Errorf("U+%04X: got %q, want %q", c, got, fields[2])
				}
			}
		}
	}
	if seen != 0x110000-0x800 || bad > 0 {
		t.Errorf("%d code points, %d of them wrong", seen, bad)
	}
}

// testDigests compares digests of 4096 code points each, which stand between two letters.
func testDigests(t *testing.T, s *state, rows []string) {
	const span = 4096
	if len(rows) != 0x110000/span {
		t.Fatalf("%d digests", len(rows))
	}
	for i, want := range rows {
		h := sha256.New()
		for j := range rune(span) {
			c := rune(i)*span + j
			if 0xD800 <= c && c <= 0xDFFF {
				continue
			}
			if j > 0 {
				h.Write([]byte("\n"))
			}
			h.Write([]byte(s.normalized("x" + string(c) + "y")))
		}
		if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
			t.Errorf("U+%04X to U+%04X: got %s, want %s", i*span, i*span+span-1, got, want)
		}
	}
}

// TestMaximalSubparts has the examples of the Unicode Standard, tables 3-8 to 3-11.
func TestMaximalSubparts(t *testing.T) {
	for text, want := range map[string]string{
		"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82A":            "11111111A",
		"\xED\xA0\x80\xED\xBF\xBF\xED\xAFA":            "11111111A",
		"\xF4\x91\x92\x93\xFFA\x80\xBFB":               "11111A11B",
		"\xE1\x80\xE2\xF0\x91\x92\xF1\xBFA":            "2132A",
		"\xF0\x9F\x98":                                 "3",
		"\xF0\x9F\x98\x80\xC3\xA9\xE4\xB8\xAD\xE0\xA0": "\U0001F600\u00e9\u4e2d2",
	} {
		var got strings.Builder
		s := normalizer()
		s.text = text
		for i := 0; i < len(text); {
			invalid := s.invalid
			next := s.step(i, len(text))
			if s.invalid > invalid {
				got.WriteString(strconv.Itoa(next - i))
			} else {
				got.WriteString(text[i:next])
			}
			i = next
		}
		if got.String() != want {
			t.Errorf("%x: got %s, want %s", text, got.String(), want)
		}
	}
}
