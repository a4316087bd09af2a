// Package micro holds the model that is part of every program that wants it: a static embedding table
// of 192 dimensions for English and other text in Latin script, distilled from all-MiniLM-L6-v2. It
// is data alone; package models opens it, and `mai distill` made it (its README.md has the command
// and where the numbers come from).
package micro

import "embed"

// Dir is the folder in FS that holds the model.
const Dir = "model"

// FS holds the model's files: 3.5 MB, in the layout that package static reads.
//
//go:embed model/config.json model/model.safetensors model/tokenizer.json model/README.md
var FS embed.FS
