// Server answers over HTTP how alike two texts are. Its pipeline runs inside the handlers: one engine
// for all requests, no service behind it. Copy it and change the pipeline.
//
//	$ go run ./examples/server &
//	$ curl -d '{"texts": ["a fast car", "a quick automobile"]}' localhost:8080/similarity
//	{"score":0.8114551305770874}
//
// A request that takes longer than its deadline is answered with 504. One that comes while as many
// compute as may is answered with 503 and Retry-After, at once: with a queue, overload would make every
// answer late. A client that hangs up ends its call. On SIGINT or SIGTERM the server takes no more
// requests, answers those that it has, and ends; a second signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/steps"
)

const (
	capacity = 64                     // requests that compute at once
	limit    = 100 * time.Millisecond // for computing one
	patience = 10 * time.Second       // with a client that sends or reads slowly, and with the last requests
)

func pipeline(model *models.Model) layers.Module[[]string, float64] {
	return layers.Sequential3(
		steps.Tokenize(model.Tokenizer()),
		steps.Embed(model),
		steps.Similarity(metrics.Cosine),
	).With(layers.Name("similarity"))
}

// serve answers requests on l until ctx is done. Then it refuses new ones and returns when those that
// it has are answered.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /similarity", s.similarity)
	web := &http.Server{Handler: mux, ReadTimeout: s.patience, WriteTimeout: s.patience}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		return errors.Join(err, s.engine.Close())
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	return errors.Join(web.Shutdown(last), s.engine.Shutdown(last))
}

func main() {
	addr := flag.String("addr", "localhost:8080", "listen on `ADDRESS`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	model, err := models.Builtin()
	if err != nil {
		log.Fatal(err)
	}
	engine, err := layers.Compile(pipeline(model).With(layers.Timeout(limit)))
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %v", l.Addr())
	s := &server{engine: engine, slots: make(chan struct{}, capacity), patience: patience}
	if err := s.serve(ctx, l); err != nil {
		log.Fatal(err)
	}
}
