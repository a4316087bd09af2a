package onnx

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/maida-ai/gomai/internal/mapped"
	"github.com/maida-ai/gomai/models/modelfile"
)

// Open maps a file of the operating system, and the files of its folder that hold its weights, if it has
// such, and recognises the encoder in it. The rules of package safetensors for mapped files hold.
//
// Errors: *modelfile.Error, with the node or tensor that is broken or did not fit.
// Cost:   reads the graph; weights are read by Floats.
func Open(name string) (*Model, error) {
	var unmap []func() error
	read := func(file string) ([]byte, error) {
		data, f, err := mapFile(file)
		if f != nil {
			unmap = append(unmap, f)
		}
		return data, err
	}
	release := func() error {
		var errs []error
		for _, f := range unmap {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	m, err := open(name, read, func(location string) string {
		return filepath.Join(filepath.Dir(name), filepath.FromSlash(location))
	})
	if err != nil {
		release()
		return nil, err
	}
	m.close, m.forget = release, mapped.Forget
	return m, nil
}

func mapFile(name string) ([]byte, func() error, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, modelfile.Wrap(name, err)
	}
	if err := modelfile.CheckInfo(name, info); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, modelfile.Wrap(name, err)
	}
	defer f.Close()
	data, unmap, err := mapped.File(f, info.Size())
	if err != nil {
		return nil, nil, modelfile.Wrap(name, err)
	}
	return data, unmap, nil
}

// OpenFS is Open for a file of fsys, which it reads into memory.
func OpenFS(fsys fs.FS, name string) (*Model, error) {
	read := func(file string) ([]byte, error) {
		info, err := fs.Stat(fsys, file)
		if err != nil {
			return nil, modelfile.Wrap(file, err)
		}
		if err := modelfile.CheckInfo(file, info); err != nil {
			return nil, err
		}
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, modelfile.Wrap(file, err)
		}
		return data, nil
	}
	return open(name, read, func(location string) string { return path.Join(path.Dir(name), location) })
}

// Sniff reports whether a file that begins with head may be an ONNX model: its first field is the version
// of the format, and it goes on with another one.
func Sniff(head []byte) bool {
	const version = 1<<3 | wireVarint
	return len(head) > 2 && head[0] == version && head[1] > 0 && head[1] < 1<<7 && head[2]>>3 > 1 && head[2]&7 <= wireBytes
}

// open reads the file called name; beside is where a file in its folder lies.
func open(name string, read func(string) ([]byte, error), beside func(string) string) (*Model, error) {
	data, err := read(name)
	if err != nil {
		return nil, err
	}
	g, err := parse(message{file: name, data: data})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, t := range g.tensors {
		if t.place == nil {
			continue
		}
		content, ok := files[t.place.location]
		if !ok {
			if content, err = read(beside(t.place.location)); err != nil {
				return nil, &modelfile.Error{File: name, Offset: int64(t.offset), Field: t.name, Reason: "external data", Err: err}
			}
			files[t.place.location] = content
		}
		if err := t.settle(content); err != nil {
			return nil, err
		}
	}
	return recognise(g)
}
