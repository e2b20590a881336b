package local

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// maxLog is the size at which an engine's log is moved aside. There is one older
// part, so a node's logs take twice that at most.
const maxLog = 4 << 20

// capLog moves the log's content to PATH.1 when it has grown too large. The engine
// keeps the file open for appending, so the file is emptied, not replaced; what
// is written between the copy and that is lost.
func capLog(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() < maxLog) {
		return nil
	}
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxLog))
	return errors.Join(err, out.Close(), os.Truncate(path, 0))
}

// logPrefix is what engines put before a message: "123:M 22 Nov 2026 02:55:38.825 # ".
var logPrefix = regexp.MustCompile(`^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.*#-] `)

// lastWords are the last lines that were logged after offset, in one line: why
// an engine could not start.
func lastWords(path string, offset int64) string {
	const tail, lines = 2048, 2
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		offset = max(offset, info.Size()-tail)
	}
	buf := make([]byte, tail)
	n, err := f.ReadAt(buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	var words []string
	for line := range strings.Lines(string(bytes.ToValidUTF8(buf[:n], []byte("?")))) {
		if line = strings.TrimSpace(logPrefix.ReplaceAllString(line, "")); line != "" {
			words = append(words, line)
		}
	}
	return strings.Join(words[max(len(words)-lines, 0):], "; ")
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
