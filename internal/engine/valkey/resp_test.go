package valkey

import (
	"bufio"
	"context"
	"errors"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine"
)

func TestReadReply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     reply
		fails    bool
	}{
		{"status", "+OK\r\n", reply{text: "OK"}, false},
		{"integer", ":12\r\n", reply{text: "12"}, false},
		{"error", "-NOAUTH go away\r\n", reply{err: "NOAUTH go away"}, false},
		{"error without words", "-\r\n", reply{err: "ERR"}, false},
		{"string", "$4\r\na\r\nb\r\n", reply{text: "a\r\nb"}, false},
		{"empty string", "$0\r\n\r\n", reply{}, false},
		{"no string", "$-1\r\n", reply{}, false},
		{"no array", "*-1\r\n", reply{}, false},
		{"array", "*2\r\n+a\r\n*1\r\n:1\r\n", reply{array: []reply{{text: "a"}, {array: []reply{{text: "1"}}}}}, false},
		{"cut short", "$4\r\nab", reply{}, true},
		{"string that is longer", "$1\r\nabc\r\n", reply{}, true},
		{"huge string", "$99999999999\r\n", reply{}, true},
		{"huge array", "*99999999\r\n", reply{}, true},
		{"negative size", "$-2\r\n", reply{}, true},
		{"no size", "$x\r\n", reply{}, true},
		{"no line", strings.Repeat("x", 10000), reply{}, true},
		{"no carriage return", "+OK\n", reply{}, true},
		{"empty line", "\r\n", reply{}, true},
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n", reply{}, true},
		{"too deep", strings.Repeat("*1\r\n", 50), reply{}, true},
	} {
		got, err := readReply(bufio.NewReaderSize(strings.NewReader(c.in), 4096), 0)
		if (err != nil) != c.fails || (!c.fails && !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add("*2\r\n+a\r\n$1\r\nb\r\n")
	f.Add("-ERR x\r\n")
	f.Add("*1\r\n*1\r\n*1\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		r := bufio.NewReaderSize(strings.NewReader(in), 64)
		for range 100 {
			if _, err := readReply(r, 0); err != nil {
				return
			}
		}
	})
}

func TestBusyIsNotAFailure(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"LOADING Redis is loading the dataset in memory": true,
		"BUSY Redis is busy running a script":            true,
		"NOAUTH Authentication required.":                false,
		"BUSYKEY Target key name already exists.":        false,
	} {
		if got := errors.Is(busy(refusal{text}), engine.ErrBusy); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// An engine that accepts and then says nothing must not hold its reader for
// longer than that one wants to wait.
func TestSilenceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.do(ctx, "PING"); err == nil {
		t.Error("an answer out of nowhere")
	}
}
