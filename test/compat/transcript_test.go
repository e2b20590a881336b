package compat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/harness"
)

var update = flag.Bool("update", false, "write into the transcripts what the userspace fabric answers")

// TestTranscripts runs the AWS CLI through the transcripts, in both fabrics. In a
// transcript,
//
//	$ aws …      runs a command, whose answer is the lines after it, as compact JSON
//	$ x = aws …  has $x stand for the answer from here on
//	? aws …      repeats a command until that is its answer
//	! aws …      runs one that is refused: the lines are the code and the message
//
// and … stands for anything. Whatever begins with # explains, and a line of @ stands
// for what the test does in between.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d *harness.Deployment) { playAll(t, d, "transcripts/*.txt") })
}

// TestRecordTranscripts plays those about what is only stored, which is the same in
// every fabric.
func TestRecordTranscripts(t *testing.T) {
	t.Parallel()
	makesVPC(t)
	playAll(t, deployment, "transcripts/records/*.txt")
}

func playAll(t *testing.T, d *harness.Deployment, glob string) {
	t.Helper()
	files, err := filepath.Glob(glob)
	must(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			newTranscript(t, d).play(file)
		})
	}
}

// TestNewerTranscripts plays those for which the AWS CLI has to know ClusterMode, which
// Debian's does not.
func TestNewerTranscripts(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d *harness.Deployment) {
		if _, known := newTranscript(t, d).aws([]string{"elasticache", "create-replication-group", "--generate-cli-skeleton"}); !strings.Contains(known, "ClusterMode") {
			t.Skip("this AWS CLI does not know ClusterMode")
		}
		playAll(t, d, "transcripts/newer/*.txt")
	})
}

// TestUpdateTranscript installs a newer program under what runs, which makes it a
// service update.
func TestUpdateTranscript(t *testing.T) {
	t.Parallel()
	program := need(t, "valkey-server")
	harness.EachFabric(t, func(t *testing.T, o harness.Options) {
		dir := t.TempDir()
		old := filepath.Join(dir, "valkey-server")
		must(t, os.WriteFile(old, []byte("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Valkey server v=8.0.0 sha=0 bits=64'; exit; fi\nexec "+program+" \"$@\"\n"), 0o700))
		o.Args = []string{"--engine-dirs", dir}
		d := harness.In(t, o)
		tr := newTranscript(t, d)
		tr.between = func() { must(t, os.Remove(old)) }
		tr.play("transcripts/installed/update.txt")
	})
}

// transcript is one on its way.
type transcript struct {
	t       *testing.T
	d       *harness.Deployment
	in      io.Writer
	out     *bufio.Scanner
	between func()
	names   []string // variables, each with its value after it
	written []string // the lines as they would have been right
}

func newTranscript(t *testing.T, d *harness.Deployment) *transcript {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), pythonWith(t, "awscli.clidriver"), "python/aws.py")
	cmd.Env, cmd.Stderr = d.Env(), t.Output()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	return &transcript{t: t, d: d, in: in, out: s}
}

// play runs one file.
func (tr *transcript) play(file string) {
	tr.t.Helper()
	b, err := os.ReadFile(file)
	must(tr.t, err)
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	for i := 0; i < len(lines); {
		line, at := lines[i], fmt.Sprintf("%s:%d", file, i+1)
		tr.written = append(tr.written, line)
		i++
		if line == "@" {
			tr.between()
		}
		if line == "" || strings.Contains("#@", line[:1]) {
			continue
		}
		first := i
		for i < len(lines) && lines[i] != "" && !strings.Contains("$?!#@", lines[i][:1]) {
			i++
		}
		want := strings.Join(lines[first:i], "\n")
		got := tr.step(at, line, tr.filled(want))
		if !matches(tr.filled(want), got) {
			tr.t.Errorf("%s: %s\n%s\nwant\n%s", at, line, got, want)
			want = got
		}
		if want != "" {
			tr.written = append(tr.written, want)
		}
	}
	if *update && !strings.Contains(tr.t.Name(), "/kernel") {
		must(tr.t, os.WriteFile(file, []byte(strings.Join(tr.written, "\n")+"\n"), 0o600))
	}
}

// step is one command; it gives the answer as a transcript has it.
func (tr *transcript) step(at, line, want string) string {
	tr.t.Helper()
	kind, command := line[0], strings.TrimSpace(line[1:])
	name := ""
	if before, after, ok := strings.Cut(command, " = aws "); ok {
		name, command = before, "aws "+after
	}
	args, err := words(tr.filled(command))
	if err != nil || args[0] != "aws" {
		tr.t.Fatalf("%s: %v in %q", at, err, args)
	}
	var got string
	var status int
	run := func() error {
		status, got = tr.aws(args[1:])
		if !matches(want, got) {
			return fmt.Errorf("%d: %s", status, got)
		}
		return nil
	}
	if err = run(); kind == '?' && err != nil {
		_ = harness.Await(tr.t.Context(), time.Minute, func(context.Context) error { return run() })
	}
	if refused := kind == '!'; refused != (status != 0) {
		stop := tr.t.Fatalf
		if *update {
			stop = tr.t.Errorf
		}
		stop("%s: %s\nended with %d: %s", at, line, status, got)
	}
	if name != "" && status == 0 {
		tr.names = append(tr.names, "$"+name, strings.Trim(got, `"`))
		return ""
	}
	return got
}

// filled is a text with the values of its variables.
func (tr *transcript) filled(text string) string {
	return strings.NewReplacer(tr.names...).Replace(text)
}

var refusal = regexp.MustCompile(`(?s)^An error occurred \(([\w.]+)\) when calling the \w+ operation(?: \(.*?\))?: (.*)$`)

// aws gives the status of a command, and its answer as compact JSON, or else the error.
func (tr *transcript) aws(args []string) (int, string) {
	tr.t.Helper()
	b, err := json.Marshal(append(args, "--output", "json", "--endpoint-url", tr.d.Endpoint))
	must(tr.t, err)
	_, err = fmt.Fprintln(tr.in, string(b))
	must(tr.t, err)
	if !tr.out.Scan() {
		tr.t.Fatalf("the CLI has ended: %v", tr.out.Err())
	}
	var answer struct {
		Status   int
		Out, Err string
	}
	must(tr.t, json.Unmarshal(tr.out.Bytes(), &answer))
	if m := refusal.FindStringSubmatch(answer.Err); m != nil {
		return answer.Status, m[1] + ": " + m[2]
	}
	if answer.Status != 0 {
		return answer.Status, answer.Err
	}
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(answer.Out)) != nil {
		return 0, strings.TrimSpace(answer.Out)
	}
	return 0, compact.String()
}

// matches reports whether an answer is the one that is wanted, where … is anything.
func matches(want, got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*?")
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got)
}

// words splits a command as a shell does: at blanks, except within quotes.
func words(line string) ([]string, error) {
	var all []string
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inside = r, true
		case quote == 0 && r == ' ':
			if inside {
				all = append(all, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("an open quote")
	}
	if inside {
		all = append(all, word.String())
	}
	return all, nil
}
