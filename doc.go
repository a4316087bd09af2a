// Package gomai holds no code: it is the front page of the module. gomai composes typed Modules into
// pipelines, compiles a pipeline into a plan and runs it without allocating, and embeds text with
// models that are fast enough to sit inside a server. There is no Python and no cgo in it, and `mai`,
// built with CGO_ENABLED=0, is one static binary.
//
// Where to start:
//
//   - package layers: Modules and their composites, Compile and the Engine
//   - package steps: ready-made Modules (Tokenize, Embed, Similarity, Humanize)
//   - package models: text embedding models, from a folder or built in
//   - package metrics: cosine, dot product and distance of vectors
//   - command mai: all of it from a shell
//
// docs/ARCHITECTURE.md draws how they fit together.
package gomai
