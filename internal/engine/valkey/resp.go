package valkey

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Bounds on what is read from an engine. Its answers to an administrator are
// small, the customer's functions the largest; whatever passes these is not one.
const (
	maxBulk  = 16 << 20
	maxArray = 1 << 16
	maxDepth = 8
)

// opTimeout bounds one exchange. It is long against the 0.1 ms that one takes
// and short against the patience of whoever waits for a report.
const opTimeout = 2 * time.Second

// reply is a value in the engine's protocol (RESP2).
type reply struct {
	text  string  // of a string, a status or an integer
	err   string  // of an error, instead
	array []reply // of an array, instead
}

// refusal is an answer that is an error.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

// code is the first word of an error answer.
func (r refusal) code() string {
	code, _, _ := strings.Cut(r.text, " ")
	return code
}

func (r reply) failure() error {
	if r.err == "" {
		return nil
	}
	return refusal{r.err}
}

// conn is a connection that speaks the engine's protocol, for one user at a time.
// There is no pool, no retry and no negotiation, which is why it is not a client
// library: with a process that starts or fails each of these would be in the way.
type conn struct {
	c net.Conn
	r *bufio.Reader
	// patience bounds one exchange.
	patience time.Duration
}

func dial(ctx context.Context, socket string) (*conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, r: bufio.NewReaderSize(c, 4096), patience: opTimeout}, nil
}

func (c *conn) close() error { return c.c.Close() }

// do sends one command and gives its answer; an error answer is an error.
func (c *conn) do(ctx context.Context, args ...string) (reply, error) {
	rs, err := c.pipeline(ctx, args)
	if err != nil {
		return reply{}, err
	}
	return rs[0], rs[0].failure()
}

// pipeline sends all commands at once. Its error is the connection's; error
// answers are in the replies.
func (c *conn) pipeline(ctx context.Context, cmds ...[]string) ([]reply, error) {
	return c.exchange(ctx, len(cmds), cmds...)
}

// exchange is pipeline for commands of which some have no answer.
func (c *conn) exchange(ctx context.Context, answers int, cmds ...[]string) ([]reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// The socket's deadline is wall-clock time by nature, not the logic's.
	if err := c.c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var b []byte
	for _, args := range cmds {
		b = appendCommand(b, args)
	}
	if _, err := c.c.Write(b); err != nil {
		return nil, err
	}
	replies := make([]reply, 0, answers)
	for range answers {
		r, err := readReply(c.r, 0)
		if err != nil {
			return nil, err
		}
		replies = append(replies, r)
	}
	return replies, nil
}

func appendCommand(b []byte, args []string) []byte {
	b = appendSize(b, '*', len(args))
	for _, a := range args {
		b = appendSize(b, '$', len(a))
		b = append(b, a...)
		b = append(b, '\r', '\n')
	}
	return b
}

func appendSize(b []byte, kind byte, n int) []byte {
	b = strconv.AppendInt(append(b, kind), int64(n), 10)
	return append(b, '\r', '\n')
}

var errProtocol = errors.New("valkey: not an answer of the protocol")

func readReply(r *bufio.Reader, depth int) (reply, error) {
	line, err := readLine(r)
	if err != nil {
		return reply{}, err
	}
	if line == "" || depth > maxDepth {
		return reply{}, errProtocol
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return reply{text: rest}, nil
	case '-':
		if rest == "" {
			rest = "ERR"
		}
		return reply{err: rest}, nil
	case '$':
		return readBulk(r, rest)
	case '*':
		return readArray(r, rest, depth)
	}
	return reply{}, errProtocol
}

func readBulk(r *bufio.Reader, size string) (reply, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < -1 || n > maxBulk {
		return reply{}, errProtocol
	}
	if n == -1 {
		return reply{}, nil
	}
	buf := make([]byte, n+2)
	if _, err := io.ReadFull(r, buf); err != nil {
		return reply{}, err
	}
	if string(buf[n:]) != "\r\n" {
		return reply{}, errProtocol
	}
	return reply{text: string(buf[:n])}, nil
}

func readArray(r *bufio.Reader, size string, depth int) (reply, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < -1 || n > maxArray {
		return reply{}, errProtocol
	}
	var out reply
	for range max(n, 0) {
		e, err := readReply(r, depth+1)
		if err != nil {
			return reply{}, err
		}
		out.array = append(out.array, e)
	}
	return out, nil
}

// readLine reads up to CR LF, at most as much as the reader's buffer holds.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errProtocol
		}
		return "", err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return "", errProtocol
	}
	return string(line[:len(line)-2]), nil
}
