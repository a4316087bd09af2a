package models_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/types"
)

// heldCtx keeps the call that looks at it inside the model.
type heldCtx struct {
	context.Context
	held chan struct{}
}

func (c heldCtx) Err() error {
	<-c.held
	return nil
}

func TestCloseWaitsForCallsInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := models.Open(tinyBERT)
		if err != nil {
			t.Fatal(err)
		}
		inside := heldCtx{t.Context(), make(chan struct{})}
		var embedErr, closeErr error
		embedded, closed := false, false
		var wg sync.WaitGroup
		wg.Go(func() {
			_, embedErr = m.EmbedInto(inside, "hello", make([]float32, m.Dim()))
			embedded = true
		})
		synctest.Wait()
		wg.Go(func() {
			closeErr = m.Close()
			closed = true
		})
		synctest.Wait()
		if embedded || closed {
			t.Errorf("embedded %v, closed %v while a call is held inside", embedded, closed)
		}
		checkClosed(t, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 calls still inside") {
			t.Errorf("Shutdown with a call inside: %v", err)
		}
		close(inside.held)
		wg.Wait()
		if embedErr != nil || closeErr != nil {
			t.Errorf("the call inside: %v, Close: %v", embedErr, closeErr)
		}
		for range 2 {
			if err := m.Close(); err != nil {
				t.Errorf("Close again: %v", err)
			}
		}
		if err := m.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown after Close, with a ctx that is done: %v", err)
		}
		checkClosed(t, m)
	})
}

// checkClosed checks that every way to a vector is shut.
func checkClosed(t *testing.T, m *models.Model) {
	t.Helper()
	ctx := t.Context()
	dst := make([]float32, m.Dim())
	_, embed := m.Embed(ctx, "x")
	_, into := m.EmbedInto(ctx, "x", dst)
	_, tokens := m.EmbedTokensInto(ctx, &types.TokenizedText{}, dst)
	for name, err := range map[string]error{
		"Embed":           embed,
		"EmbedInto":       into,
		"EmbedTokensInto": tokens,
		"EmbedIDsInto":    m.EmbedIDsInto(ctx, []int32{2, 3}, dst),
		"EmbedBatchInto":  m.EmbedBatchInto(ctx, []string{"x"}, dst, nil),
		"Warm":            m.Warm(ctx),
	} {
		if !errors.Is(err, models.ErrClosed) {
			t.Errorf("%s on a closed model: %v", name, err)
		}
	}
	if m.Dim() != 32 || m.Space() == "" || m.Describe().Vocabulary != 141 {
		t.Error("a closed model has forgotten what it is")
	}
	if _, err := m.Tokenizer().Tokenize("hello"); err != nil {
		t.Errorf("the tokeniser of a closed model: %v", err)
	}
}

// Calls race with Close: each either has its vector or ErrClosed, and none reads unmapped memory.
func TestCloseBesideCalls(t *testing.T) {
	for range 20 {
		m, err := models.Open(tinyBERT)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				dst := make([]float32, m.Dim())
				for {
					if _, err := m.EmbedInto(t.Context(), "hello", dst); err != nil {
						if !errors.Is(err, models.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}
