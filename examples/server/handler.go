package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/maida-ai/gomai/layers"
)

const maxBody = 64 << 10 // bytes

// server holds what all requests share.
type server struct {
	engine   *layers.Engine[[]string, float64]
	slots    chan struct{} // holds one for each request that computes
	patience time.Duration // longer than a call may take: net/http's timeouts cancel the call, too
}

// similarity answers {"texts": [A, B]} with {"score": S}.
func (s *server) similarity(w http.ResponseWriter, r *http.Request) {
	// The whole body is read before a slot is taken, so a slow client holds none. Only when it is read
	// does net/http notice that a client hangs up.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var question struct{ Texts []string }
	if err != nil || json.Unmarshal(body, &question) != nil || len(question.Texts) != 2 {
		http.Error(w, `wants {"texts": [A, B]}`, http.StatusBadRequest)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "at capacity", http.StatusServiceUnavailable)
		return
	}
	score, err := s.engine.Call(r.Context(), question.Texts)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]float64{"score": score}) // fails if the client has left
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	case errors.Is(err, context.Canceled): // the client has left, so this is for nobody
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		log.Print(err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}
