package relay

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

const (
	// maxFrame bounds one message; a document with a thousand TLS listeners is
	// about 6 MB.
	maxFrame = 64 << 20
	// maxFiles is how many descriptors go with one message; the kernel takes 253.
	maxFiles = 200
	// readAhead is the piece in which a frame is read: the length that a peer
	// claims is never allocated in advance.
	readAhead = 64 << 10
)

var errFrame = errors.New("relay: malformed control message")

// channel carries length-prefixed JSON messages, with file descriptors, over a
// unix socket. It is for one goroutine at a time.
type channel struct {
	conn *net.UnixConn
	// files arrived and are not yet taken.
	files []int
}

// Read implements io.Reader and collects the descriptors that come along.
func (c *channel) Read(p []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(maxFiles*4))
	n, oobn, flags, _, err := c.conn.ReadMsgUnix(p, oob)
	files, ferr := filesIn(oob[:oobn])
	c.files = append(c.files, files...)
	switch {
	case err != nil:
		return n, err
	case ferr != nil:
		return n, ferr
	case flags&unix.MSG_CTRUNC != 0 || len(c.files) > maxFiles:
		return n, fmt.Errorf("%w: too many descriptors", errFrame)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// receive decodes the next message into v. The descriptors that came with it are
// the caller's to close.
func (c *channel) receive(v any) ([]int, error) {
	body, err := readFrame(c)
	files := c.files
	c.files = nil
	if err == nil {
		err = decode(body, v)
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// send encodes v and passes files along; they stay the caller's.
func (c *channel) send(v any, files []int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode control message: %w", err)
	}
	if len(body) > maxFrame || len(files) > maxFiles {
		return fmt.Errorf("%w: too large", errFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	frame = append(frame, body...)
	if len(files) > 0 {
		n, _, err := c.conn.WriteMsgUnix(frame, unix.UnixRights(files...), nil)
		if err != nil {
			return fmt.Errorf("send control message: %w", err)
		}
		frame = frame[n:]
	}
	if _, err := c.conn.Write(frame); err != nil {
		return fmt.Errorf("send control message: %w", err)
	}
	return nil
}

// Close closes the socket and what was received and not taken.
func (c *channel) Close() error {
	closeAll(c.files)
	c.files = nil
	return c.conn.Close()
}

// readFrame reads one length-prefixed message. io.EOF means that the peer closed
// between two messages.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	var body bytes.Buffer
	piece := make([]byte, min(int(size), readAhead))
	for left := int(size); left > 0; {
		n, err := io.ReadFull(r, piece[:min(left, len(piece))])
		body.Write(piece[:n])
		left -= n
		if err != nil {
			return nil, fmt.Errorf("%w: cut short", errFrame)
		}
	}
	return body.Bytes(), nil
}

// decode is strict, so that two versions which do not understand each other say so
// instead of losing a setting.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: not understood", errFrame)
	}
	return nil
}

func filesIn(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: control data", errFrame)
	}
	var files []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}
