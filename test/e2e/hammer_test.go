package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// hammer asks addresses over and over for an answer without a token, over
// plaintext and over TLS. What it may get is silence, a reset or NOAUTH.
type hammer struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	noauth  map[string]int
	letIn   []string
	stopped bool
}

// pause between two attempts at one address. It is shorter than any engine
// takes to start, and leaves the machine some time for them.
const pause = 2 * time.Millisecond

func newHammer(t testing.TB) *hammer {
	h := &hammer{stop: make(chan struct{}), noauth: map[string]int{}}
	t.Cleanup(h.end)
	return h
}

// on begins to hammer an address, which nothing need listen on yet.
func (h *hammer) on(address string) {
	for _, secure := range []bool{false, true} {
		h.wg.Go(func() {
			for {
				select {
				case <-h.stop:
					return
				case <-time.After(pause):
				}
				h.note(address, answer(address, secure))
			}
		})
	}
}

func (h *hammer) note(address, got string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case got == "" || strings.HasPrefix(got, tlsAlert):
	case strings.HasPrefix(got, "-NOAUTH"):
		h.noauth[address]++
	default:
		h.letIn = append(h.letIn, fmt.Sprintf("%s answers %q", address, got))
	}
}

// refusals is how often an address has refused so far.
func (h *hammer) refusals(address string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.noauth[address]
}

func (h *hammer) end() {
	h.mu.Lock()
	stopped := h.stopped
	h.stopped = true
	h.mu.Unlock()
	if !stopped {
		close(h.stop)
	}
	h.wg.Wait()
}

// verdict ends the hammering and says whether anything but a refusal was seen.
func (h *hammer) verdict() error {
	h.end()
	if len(h.letIn) > 0 {
		return fmt.Errorf("%d answers without a token, the first: %s", len(h.letIn), h.letIn[0])
	}
	return nil
}

// tlsAlert begins what a TLS server says to somebody who speaks plaintext.
const tlsAlert = "\x15\x03"

// answer is what a new connection gets to PING; empty if nothing.
func answer(address string, secure bool) string {
	const patience = 300 * time.Millisecond
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return ""
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return ""
	}
	if secure {
		// Whoever answers is of interest, not whether it can be trusted.
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return ""
	}
	b := make([]byte, 64)
	n, err := conn.Read(b)
	if n == 0 && err == nil {
		err = errors.New("nothing")
	}
	if err != nil {
		return ""
	}
	return string(b[:n])
}
