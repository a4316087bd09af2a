package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maida-ai/gomai/kernel"
	"github.com/maida-ai/gomai/layers"
	"github.com/maida-ai/gomai/metrics"
	"github.com/maida-ai/gomai/models"
	"github.com/maida-ai/gomai/sched"
)

// running is a server on a port of its own.
type running struct {
	url    string
	before int // goroutines, when there was no server
	sched  *sched.Sched
	client *http.Client  // reuses connections, of which it has one for each client at the most
	stop   func()        // asks the server to end
	deaf   chan struct{} // closed when it takes no more connections
	ended  chan error    // what serve returned
}

// start runs a server. When the test is over the server has ended, and has left no goroutine.
func start(t *testing.T, m layers.Module[[]string, float64], capacity int) *running {
	t.Helper()
	r := &running{before: runtime.NumGoroutine(), sched: sched.New(), deaf: make(chan struct{}), ended: make(chan error, 1)}
	engine, err := layers.Compile(m, layers.On(r.sched))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String() + "/similarity"
	r.client = &http.Client{Transport: &http.Transport{MaxConnsPerHost: clients, MaxIdleConnsPerHost: clients}}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	// A patience that no test exhausts, however slow the machine is.
	s := &server{engine: engine, slots: make(chan struct{}, capacity), patience: time.Hour}
	go func() { r.ended <- s.serve(ctx, &announcing{Listener: l, closed: r.deaf}) }()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		stop()
		if err := <-r.ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := engine.Call(context.Background(), nil); !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("the engine outlives the server: %v", err)
		}
		if len(s.slots) > 0 {
			t.Errorf("%d slots are still taken", len(s.slots))
		}
		r.sched.Close()
		// A goroutine that is about to end still counts. One that leaks keeps the test here until the
		// test's own limit, which prints where it is.
		for runtime.NumGoroutine() > r.before {
			runtime.Gosched()
		}
	})
	return r
}

// announcing is a listener that tells when it is closed.
type announcing struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (l *announcing) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.closed) })
	return err
}

// reply is what a client got.
type reply struct {
	status int
	header http.Header
	body   string
}

// post sends a body and reads the whole answer.
func (r *running) post(ctx context.Context, c *http.Client, body string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

// Every kind of answer but those under load.
func TestAnswers(t *testing.T) {
	model, err := models.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, pipeline(model), 1)
	const a, b = "a fast car", "a quick automobile"
	var vectors [2][]float32
	for i, text := range []string{a, b} {
		e, err := model.Embed(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		vectors[i] = e.F32
	}
	score, err := json.Marshal(metrics.Cosine(vectors[0], vectors[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body   string
		status int
		answer string
	}{
		{fmt.Sprintf(`{"texts": [%q, %q]}`, a, b), 200, fmt.Sprintf("{\"score\":%s}\n", score)},
		{`{"texts": ["", ""]}`, 200, "{\"score\":0}\n"},
		{`{"texts": ["a"]}`, 400, "texts"},
		{`{"texts": ["a", "b", "c"]}`, 400, "texts"},
		{`{"texts": ["a", 1]}`, 400, "texts"},
		{`{"texts": ["a", "b"]} and more`, 400, "texts"},
		{`{}`, 400, "texts"},
		{``, 400, "texts"},
		{fmt.Sprintf(`{"texts": ["", %q]}`, strings.Repeat("x", maxBody)), 413, "too large"},
	} {
		got, err := r.post(t.Context(), r.client, c.body)
		if err != nil || got.status != c.status || !strings.Contains(got.body, c.answer) {
			t.Errorf("%.50q: %+v, %v; want %d, %q", c.body, got, err, c.status, c.answer)
		}
	}
	resp, err := r.client.Get(r.url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		step   func(context.Context, []string) (float64, error)
		status int
	}{
		{"deadline", func(ctx context.Context, _ []string) (float64, error) { <-ctx.Done(); return 0, ctx.Err() }, 504},
		{"error", func(context.Context, []string) (float64, error) { return 0, errors.New("secret") }, 500},
		{"panic", func(context.Context, []string) (float64, error) { panic("secret") }, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged bytes.Buffer
			log.SetOutput(&logged)
			defer log.SetOutput(os.Stderr)
			limit := time.Hour
			if c.status == http.StatusGatewayTimeout {
				limit = time.Millisecond
			}
			r := start(t, layers.Func("step", c.step).With(layers.Blocking, layers.Timeout(limit)), 1)
			for range 2 { // the slot is free again
				got, err := r.post(t.Context(), r.client, question(1))
				if err != nil || got.status != c.status || strings.Contains(got.body, "secret") {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if want := c.status == http.StatusInternalServerError; strings.Contains(logged.String(), "step: ") != want {
				t.Errorf("logged: %q", logged.String())
			}
		})
	}
}
