package tokenizer

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maida-ai/gomai/types"
)

// unzip returns a file of testdata.
func unzip(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// uncased returns the tokeniser of all-MiniLM-L6-v2, which is BERT's, uncased.
func uncased(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Parse("tokenizer.json", unzip(t, "tokenizer.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// fixture is cases.json.gz; testdata/make.py says what is in it.
type fixture struct {
	Version  string
	Texts    []string
	Settings []struct {
		Name  string
		Patch map[string]json.RawMessage
		Rows  []row
	}
	Giants []struct {
		Name, Unit, SHA256     string
		Times, Invalid, Tokens int
	}
}

// row is what the reference made of a text.
type row struct {
	text    int
	invalid int32
	ids     []int32
	offsets []types.Offset
}

func (r *row) UnmarshalJSON(data []byte) error {
	var deltas []int32
	if err := json.Unmarshal(data, &[]any{&r.text, &r.invalid, &r.ids, &deltas}); err != nil {
		return err
	}
	at := int32(0)
	for i := 0; i+1 < len(deltas); i += 2 {
		start := at + deltas[i]
		at = start + deltas[i+1]
		r.offsets = append(r.offsets, types.Offset{Start: start, End: at})
	}
	return nil
}

func loadFixture(t testing.TB) *fixture {
	t.Helper()
	var f fixture
	if err := json.Unmarshal(unzip(t, "cases.json.gz"), &f); err != nil {
		t.Fatal(err)
	}
	for i, s := range f.Texts {
		f.Texts[i] = decode64(t, s)
	}
	return &f
}

func decode64(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// patched returns the tokenizer.json with the sections of patch; those of the model are merged.
func patched(t testing.TB, base []byte, patch map[string]json.RawMessage) []byte {
	t.Helper()
	if len(patch) == 0 {
		return base
	}
	merge := func(base []byte, patch map[string]json.RawMessage) []byte {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(base, &all); err != nil {
			t.Fatal(err)
		}
		for k, v := range patch {
			all[k] = v
		}
		out, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if raw, ok := patch["model"]; ok {
		var model map[string]json.RawMessage
		var all map[string]json.RawMessage
		if err := json.Unmarshal(raw, &model); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(base, &all); err != nil {
			t.Fatal(err)
		}
		patch["model"] = merge(all["model"], model)
	}
	return merge(base, patch)
}

// known is what types.TokenizedText.Known means, worked out from the ids.
func known(tok *Tokenizer, special map[int32]bool, got *types.TokenizedText) float32 {
	s := tok.Special()
	inner := got.IDs[len(s.Before) : len(got.IDs)-len(s.After)]
	counted, unknown := 0, 0
	for _, id := range inner {
		if id == s.Unknown {
			unknown++
		}
		if id == s.Unknown || !special[id] {
			counted++
		}
	}
	if counted == 0 {
		return 1
	}
	return float32(counted-unknown) / float32(counted)
}

func TestReference(t *testing.T) {
	f := loadFixture(t)
	base := unzip(t, "tokenizer.json.gz")
	long, distinct := 0, map[string]bool{}
	special := map[int32]bool{0: true, 100: true, 101: true, 102: true, 103: true}
	for _, setting := range f.Settings {
		t.Run(setting.Name, func(t *testing.T) {
			tok, err := Parse("tokenizer.json", patched(t, base, setting.Patch))
			if err != nil {
				t.Fatal(err)
			}
			var got types.TokenizedText
			for _, r := range setting.Rows {
				text := f.Texts[r.text]
				if err := tok.TokenizeInto(text, &got); err != nil {
					t.Fatal(err)
				}
				if len(setting.Patch) == 0 {
					distinct[text] = true
					if len(r.ids) > 64 {
						long++
					}
				}
				switch {
				case !slices.Equal(got.IDs, r.ids):
					t.Errorf("text %d %+q\n got %v\nwant %v", r.text, text, got.IDs, r.ids)
				case !slices.Equal(got.Offsets, r.offsets):
					t.Errorf("text %d %+q\n got %v\nwant %v", r.text, text, got.Offsets, r.offsets)
				case got.Invalid != r.invalid:
					t.Errorf("text %d %+q: %d ill-formed subparts, want %d", r.text, text, got.Invalid, r.invalid)
				case got.Known != known(tok, special, &got):
					t.Errorf("text %d %+q: known %v, want %v", r.text, text, got.Known, known(tok, special, &got))
				case got.Vocab != tok.Vocab():
					t.Errorf("text %d: vocabulary %q", r.text, got.Vocab)
				}
			}
		})
	}
	if len(distinct) < 2000 || 3*long < len(distinct) {
		t.Errorf("%d texts, %d of them over 64 tokens", len(distinct), long)
	}
}

func TestReferenceGiants(t *testing.T) {
	f := loadFixture(t)
	tok := uncased(t)
	for _, g := range f.Giants {
		got, err := tok.Tokenize(strings.Repeat(decode64(t, g.Unit), g.Times))
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		var b []byte
		for i, id := range got.IDs {
			b = b[:0]
			for _, v := range []int32{id, got.Offsets[i].Start, got.Offsets[i].End} {
				b = binary.LittleEndian.AppendUint32(b, uint32(v))
			}
			h.Write(b)
		}
		if sum := hex.EncodeToString(h.Sum(nil)); len(got.IDs) != g.Tokens || int(got.Invalid) != g.Invalid || sum != g.SHA256 {
			t.Errorf("%s: %d tokens, %d ill-formed, digest %s; want %d, %d, %s", g.Name, len(got.IDs), got.Invalid, sum, g.Tokens, g.Invalid, g.SHA256)
		}
	}
}
