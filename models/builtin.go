package models

import "github.com/maida-ai/gomai/models/micro"

// Builtin opens the model that package micro puts into the program: a static table for English and
// other text in Latin script, 192 dimensions, about 10 microseconds a sentence. For other languages
// Info.Known is low and vectors say little: open a multilingual encoder instead.
func Builtin() (*Model, error) { return OpenFS(micro.FS, micro.Dir) }
