package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/runtime"
)

func TestReportsTheLatestWins(t *testing.T) {
	t.Parallel()
	r := newReports()
	// Nobody reads yet.
	r.put(runtime.Report{ID: "a", PID: 1})
	r.put(runtime.Report{ID: "b", PID: 1})
	r.put(runtime.Report{ID: "a", PID: 2})
	seen := make(map[string]int)
	for len(seen) < 2 || seen["a"] != 2 {
		for _, rep := range <-r.out {
			seen[rep.ID] = rep.PID
		}
	}
	r.put(runtime.Report{ID: "a", PID: 2}) // says nothing new
	r.put(runtime.Report{ID: "c", PID: 9})
	batch := <-r.out
	if len(batch) != 1 || batch[0].ID != "c" {
		t.Errorf("batch %v", batch)
	}
	r.put(runtime.Report{ID: "d"})
	r.close() // with a report that nobody wants
	if _, open := <-r.out; open {
		t.Error("the channel is open")
	}
}

func TestReportsForgetTheGone(t *testing.T) {
	t.Parallel()
	r := newReports()
	defer r.close()
	for _, phase := range []string{runtime.PhaseRunning, runtime.PhaseGone} {
		r.put(runtime.Report{ID: "a", Phase: phase})
		if got := (<-r.out)[0].Phase; got != phase {
			t.Errorf("%s instead of %s", got, phase)
		}
	}
	// Another node under that id starts afresh, even to be gone again.
	r.put(runtime.Report{ID: "b"})
	<-r.out // by now the batch before is accounted for
	r.put(runtime.Report{ID: "a", Phase: runtime.PhaseGone})
	if got := <-r.out; len(got) != 1 || got[0].ID != "a" {
		t.Errorf("batch %v", got)
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	const before = "1:M 22 Nov 2026 02:55:38.825 * an earlier start\n"
	const log = before +
		"13059:C 22 Nov 2026 02:55:38.825 # Reading config from stdin\n\n" +
		"7:M 22 Nov 2026 02:55:38.900 # Warning: Could not bind\n" +
		"7:M 22 Nov 2026 02:55:38.901 # Failed listening on port 1, aborting.\n"
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int]string{
		0:           "Warning: Could not bind; Failed listening on port 1, aborting.",
		len(before): "Warning: Could not bind; Failed listening on port 1, aborting.",
		len(log):    "",
	} {
		if got := lastWords(path, int64(offset)); got != want {
			t.Errorf("from %d: %q", offset, got)
		}
	}
	if got := lastWords(path+".none", 0); got != "" {
		t.Errorf("no log: %q", got)
	}
}

func TestLogIsCapped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	writer, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	write := func(s string) {
		if _, err := writer.WriteString(s); err != nil {
			t.Fatal(err)
		}
		if err := capLog(path); err != nil {
			t.Fatal(err)
		}
	}
	write("small\n")
	if fileSize(path) != 6 {
		t.Errorf("a small log was touched: %d", fileSize(path))
	}
	write(strings.Repeat("x", maxLog))
	write("after\n")
	if b, _ := os.ReadFile(path); string(b) != "after\n" {
		t.Errorf("%d bytes are left", len(b))
	}
	info, err := os.Stat(path + ".1")
	if err != nil || info.Size() != maxLog || info.Mode().Perm() != 0o600 {
		t.Errorf("the older part: %v %v", info, err)
	}
	if err := capLog(path + ".none"); err != nil {
		t.Error(err)
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if readRecord(dir) != nil {
		t.Error("a record out of nowhere")
	}
	rec := record{ID: "a", UID: "u", PID: 7, Start: 1, Boot: "b", Ready: true}
	if err := rec.write(dir); err != nil {
		t.Fatal(err)
	}
	if got := readRecord(dir); got == nil || *got != rec {
		t.Errorf("%+v", got)
	}
	if _, err := rec.process("another boot"); err == nil {
		t.Error("a process of another boot was found")
	}
	for _, damage := range []string{"", "{", "null", `{"PID":-1}`} {
		if err := os.WriteFile(filepath.Join(dir, recordFile), []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readRecord(dir); got != nil {
			t.Errorf("%q: %+v", damage, got)
		}
	}
}
