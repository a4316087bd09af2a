// Package testmodel finds the real model weights that tests need. Only tests may import it, and the
// command in fetch, by which `make weights` brings the weights into the cache: they are not in the
// repository.
package testmodel

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the folder that holds the fetched models: $GOMAI_TESTDATA, or gomai-test in the user's
// cache folder.
func Dir() string {
	if d := os.Getenv("GOMAI_TESTDATA"); d != "" {
		return d
	}
	c, err := os.UserCacheDir()
	if err != nil {
		c = os.TempDir()
	}
	return filepath.Join(c, "gomai-test")
}

// MiniLMDir is the folder of all-MiniLM-L6-v2, there or not.
func MiniLMDir() string {
	return filepath.Join(Dir(), "all-MiniLM-L6-v2")
}

// MiniLM returns the folder of all-MiniLM-L6-v2. Without it the test fails in CI and is skipped
// elsewhere.
func MiniLM(t testing.TB) string {
	t.Helper()
	return need(t, MiniLMDir(), "model.safetensors")
}

// MiniLMInt8Dir is the folder of the same model in ONNX with int8 weights, there or not.
func MiniLMInt8Dir() string {
	return filepath.Join(Dir(), "all-MiniLM-L6-v2-int8-onnx")
}

// MiniLMInt8 returns the file of that model, as MiniLM does. It has no tokeniser beside it.
func MiniLMInt8(t testing.TB) string {
	t.Helper()
	return filepath.Join(need(t, MiniLMInt8Dir(), "model.onnx"), "model.onnx")
}

// need returns the folder d, which must have a file in it.
func need(t testing.TB, d, file string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(d, file)); err == nil {
		return d
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no weights in %s: run `make weights`", d)
	}
	t.Skipf("no weights in %s: run `make weights` to fetch them", d)
	return ""
}

// Slow skips a quality gate that runs once only: not with -short, under -race or with -tags noasm,
// where it would repeat the same arithmetic.
func Slow(t testing.TB) {
	t.Helper()
	if testing.Short() || Race || NoAsm {
		t.Skip("a slow gate: runs once, in the plain build")
	}
}

// Main runs the tests of a package that opens models, with a cache of packed ones of their own: what other
// code has packed is not what these tests are about. It belongs in TestMain.
func Main(m *testing.M) {
	os.Setenv("GOMAI_TESTDATA", Dir())
	cache, err := os.MkdirTemp("", "gomai-cache")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CACHE_HOME", cache)
	code := m.Run()
	os.RemoveAll(cache)
	os.Exit(code)
}
