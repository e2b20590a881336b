package splice

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

func TestLoginReply(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in, rest string
		done           bool
	}{
		{"nothing yet", "", "", false},
		{"incomplete", "+O", "", false},
		{"without the newline", "+OK\r", "", false},
		{"accepted", "+OK\r\n", "", true},
		{"refused", "-WRONGPASS invalid username-password pair\r\n", "", true},
		{"followed by more", "+OK\r\n+PONG\r\n", "+PONG\r\n", true},
		{"too many clients is for the client", "-ERR max number of clients reached\r\n", "-ERR max number of clients reached\r\n", true},
		{"no reply at all", "STAT x\r\n", "STAT x\r\n", true},
		{"endless", "-" + strings.Repeat("x", maxLoginReply), "-" + strings.Repeat("x", maxLoginReply), true},
	} {
		rest, done := loginReply([]byte(tc.in))
		if string(rest) != tc.rest || done != tc.done {
			t.Errorf("%s: rest %q, done %v", tc.name, rest, done)
		}
	}
}

// Whatever an engine sends, and in whatever pieces, the client gets a suffix of it.
func FuzzLoginReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR x\r\n$3\r\n", "-ERR max number of clients reached\r\n", "", "\n", ":1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, done := loginReply(b)
		if !bytes.HasSuffix(b, rest) {
			t.Errorf("%q is no end of %q", rest, b)
		}
		if !done && len(rest) > 0 {
			t.Error("bytes given before the reply is complete")
		}
		if !done && len(b) >= maxLoginReply {
			t.Error("waits for ever")
		}
		if line := bytes.IndexByte(b, '\n'); done && line >= 0 && len(rest) != len(b) && len(rest) != len(b)-line-1 {
			t.Error("cuts within a line")
		}
	})
}

// loginEngine answers the login in single bytes, then reports what else it got.
func loginEngine(want, reply string, got chan<- string) func(net.Conn) {
	return func(c net.Conn) {
		b := make([]byte, len(want))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
			got <- fmt.Sprintf("login %q, %v", b, err)
			return
		}
		_ = c.(*net.UnixConn).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, _ := c.Read(make([]byte, 1)); n != 0 {
			got <- "bytes before the reply"
			return
		}
		_ = c.SetReadDeadline(time.Time{})
		for _, r := range []byte(reply) {
			if _, err := c.Write([]byte{r}); err != nil {
				return
			}
		}
		echo(c)
		got <- "done"
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	server, client := certificate(t, "cache.test")
	const want = "*3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$5\r\ns3cre\r\n"
	for _, tc := range []struct {
		name, reply string
		tls         bool
	}{
		{"accepted", "+OK\r\n", false},
		{"refused", "-WRONGPASS invalid\r\n", false},
		{"accepted, tls", "+OK\r\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Config{})
			fd, addr := r.listen()
			got := make(chan string, 1)
			b := r.engine(loginEngine(want, tc.reply, got))
			b.Login = core.NewSecret("s3cre")
			ls := Listener{ID: "a", Sockets: []int{fd}, Backends: []Backend{b}, TLS: server}
			if tc.tls {
				ls.Mode = Required
			}
			r.apply([]Listener{ls})
			raw := r.dial(addr)
			var c net.Conn = raw
			half := raw.CloseWrite
			if tc.tls {
				tc := tlsClient(raw, client)
				c, half = tc, tc.CloseWrite
			}
			if _, err := c.Write([]byte("PING early\r\n")); err != nil { // waits for the login
				t.Fatal(err)
			}
			if err := half(); err != nil {
				t.Fatal(err)
			}
			back, err := io.ReadAll(c)
			if string(back) != "PING early\r\n" || err != nil {
				t.Errorf("client got %q, %v", back, err)
			}
			if g := <-got; g != "done" {
				t.Error("engine:", g)
			}
		})
	}
}
