package models

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/internal/testmodel"
	"github.com/maida-ai/gomai/models/modelfile"
)

// packRealOnce packs all-MiniLM-L6-v2 into the cache folder of these tests, which testmodel.Main removes.
var packRealOnce = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	packed := filepath.Join(cache, "model.gomai")
	d, err := Pack(context.Background(), testmodel.MiniLMDir(), packed)
	if err == nil && (d.Precision != Int8.String() || d.MinCosine < 0.99) {
		err = fmt.Errorf("packed as %+v", d)
	}
	return packed, err
})

// packReal returns the folder of all-MiniLM-L6-v2 and its packed file, which all tests share: read only.
func packReal(t *testing.T) (dir, packed string) {
	t.Helper()
	dir = testmodel.MiniLM(t)
	testmodel.Slow(t) // packing is, without assembly or under the race detector
	packed, err := packRealOnce()
	if err != nil {
		t.Fatal(err)
	}
	return dir, packed
}

func TestPackedModelIsTheModel(t *testing.T) {
	dir, packed := packReal(t)
	cache := t.TempDir()
	var want []float32
	var space string
	for _, open := range []struct {
		name string
		path string
		opts []Option
	}{
		{"in memory", dir, []Option{Precision(Int8), Cache("")}},
		{"for the cache", dir, []Option{Cache(cache)}},
		{"from the cache", dir, []Option{Cache(cache)}},
		{"packed", packed, nil},
	} {
		began := time.Now()
		m, err := Open(open.path, open.opts...)
		if err != nil {
			t.Fatalf("%s: %v", open.name, err)
		}
		t.Log(open.name, time.Since(began))
		var got []float32
		for _, text := range []string{"", "one text", strings.Repeat("a long text ", 300)} {
			v, err := m.Embed(t.Context(), text)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v.F32...)
		}
		if want == nil {
			want, space = got, string(m.Space())
		}
		if !slices.Equal(got, want) || string(m.Space()) != space {
			t.Errorf("%s: other vectors, or the space %s and not %s", open.name, m.Space(), space)
		}
		if err := m.Warm(t.Context()); err != nil {
			t.Errorf("%s: %v", open.name, err)
		}
		if d := m.Describe(); d.MinCosine < 0.99 || d.Precision != "int8" {
			t.Errorf("%s: %+v", open.name, d)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) != 1 {
		t.Errorf("%d files in the cache, %v", len(entries), err)
	}
	if _, err := Open(packed, Precision(F32)); !errors.As(err, new(*OptionError)) {
		t.Errorf("float32 of a packed model: %v", err)
	}
}

func TestDamagedPackedFileIsRefused(t *testing.T) {
	_, packed := packReal(t)
	content, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged.gomai")
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		damaged := bytes.Clone(content)
		at := r.IntN(len(damaged))
		if i < 20 { // the header is small, and everything hangs on it
			at = r.IntN(20_000)
		}
		bit := byte(1) << r.IntN(8)
		if damaged[at] == ' ' && at > 8 && at < 40_000 {
			continue // white space after the header's JSON
		}
		damaged[at] ^= bit
		if err := os.WriteFile(path, damaged, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := Open(path)
		var bad *modelfile.Error
		if err == nil || !errors.As(err, &bad) {
			t.Errorf("bit %d of byte %d flipped: %v", bit, at, err)
		}
		if m != nil {
			m.Close()
		}
	}
	for _, n := range []int{0, 7, 100, 20_000, len(content) / 2, len(content) - 1} {
		if err := os.WriteFile(path, content[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.As(err, new(*modelfile.Error)) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestWrongGoldenVectorIsFound(t *testing.T) {
	_, packed := packReal(t)
	m, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range m.packed.Golden {
		v, err := m.packed.Golden[i].vector()
		if err != nil {
			t.Fatal(err)
		}
		v[17] = -v[17]
		kept := m.packed.Golden[i]
		m.packed.Golden[i] = newGolden(kept.Text, v)
		var bad *GoldenError
		if err := m.CheckGolden(t.Context()); !errors.As(err, &bad) || bad.Text != kept.Text {
			t.Errorf("golden vector %d changed: %v", i, err)
		}
		if err := m.Warm(t.Context()); !errors.As(err, &bad) {
			t.Errorf("golden vector %d changed: Warm says %v", i, err)
		}
		m.packed.Golden[i] = kept
	}
}

// A model whose prompts are known by its folder's name alone keeps them when it is packed.
func TestPackedModelKeepsItsName(t *testing.T) {
	testmodel.Slow(t)
	dir := filepath.Join(t.TempDir(), "e5-small-v2")
	if err := os.CopyFS(dir, os.DirFS(testmodel.MiniLM(t))); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "model.gomai")
	want, err := Pack(t.Context(), dir, packed)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := m.Describe(); want.Query == "" || got.Query != want.Query || got.Document != want.Document || got.Space != want.Space {
		t.Errorf("prompts %q and %q, want %q and %q", got.Query, got.Document, want.Query, want.Document)
	}
}

// What Open is told about calls has no part in the texts that prove a packed model.
func TestGoldenTextsDoNotHangOnOptions(t *testing.T) {
	_, packed := packReal(t)
	for _, opts := range [][]Option{
		{MaxTokens(3)}, {MaxTokens(8), Overflow(Refuse)}, {AsQuery}, {QueueLimit(0)}, {Batching(false)},
	} {
		m, err := Open(packed, opts...)
		if err != nil {
			t.Fatalf("%+v: %v", opts, err)
		}
		if err := m.CheckGolden(t.Context()); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
		if err := m.Warm(t.Context()); err != nil {
			t.Errorf("%+v: Warm says %v", opts, err)
		}
		m.Close()
	}
}

// Text to vector in int8, with the tokeniser and by way of the batcher.
func TestInt8AllocatesNothing(t *testing.T) {
	_, packed := packReal(t)
	m, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, dst := t.Context(), make([]float32, m.Dim())
	if err := m.Warm(ctx); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "hello world", strings.Repeat("a long text ", 100)} {
		if n := testing.AllocsPerRun(20, func() {
			if _, err := m.EmbedInto(ctx, text, dst); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%.20q: %v allocations", text, n)
		}
	}
}
