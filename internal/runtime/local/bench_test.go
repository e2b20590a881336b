package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/engine/valkey"
	"github.com/larder-cache/larder/internal/runtime"
)

// BenchmarkStart compares, in pairs, a bare engine from exec to its first answer
// with a node from its document to being in service.
func BenchmarkStart(b *testing.B) {
	for _, kind := range []string{engine.Redis, engine.Valkey} {
		b.Run(kind, func(b *testing.B) {
			bin, err := installed(kind, "")
			if err != nil {
				b.Skip(err)
			}
			var bare, larder, ratio []float64
			for b.Loop() {
				x, y := startBare(b, bin), startNode(b, kind)
				bare, larder, ratio = append(bare, x), append(larder, y), append(ratio, y/x)
			}
			b.ReportMetric(median(bare), "bare-ms")
			b.ReportMetric(median(larder), "larder-ms")
			b.ReportMetric(median(ratio), "ratio")
		})
	}
}

// BenchmarkIdle has a runtime look after many idle engines and reports what
// share of a core it takes.
func BenchmarkIdle(b *testing.B) {
	const nodes = 100
	r := newRig(b)
	var ns []runtime.Node
	for range nodes {
		ns = append(ns, makeNode(engine.Valkey))
	}
	began := time.Now()
	r.apply(ns...)
	for _, n := range ns {
		r.settled(n)
	}
	start := time.Since(began)
	const interval = 5 * time.Second
	var share float64
	for b.Loop() {
		before := cpuTime(b)
		time.Sleep(interval) // the measurement itself
		share = float64(cpuTime(b)-before) / float64(interval) * 100
	}
	b.ReportMetric(milliseconds(start), "start-all-ms")
	b.ReportMetric(share, "%core")
	began = time.Now()
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	r.reader.Wait()
	r.reports = make(map[string]runtime.Report)
	r.open()
	r.apply(ns...)
	for _, n := range ns {
		r.settled(n)
	}
	b.ReportMetric(milliseconds(time.Since(began)), "adopt-all-ms")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func startBare(b *testing.B, bin engine.Binary) float64 {
	n := makeNode(bin.Engine)
	socket := filepath.Join(b.TempDir(), "s")
	began := time.Now()
	cmd := exec.Command(bin.Path, "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("port 0\nunixsocket %s\nsave \"\"\nuser larder-admin on nopass ~* +@all\n", socket))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for {
		s, err := valkey.Driver{}.Open(b.Context(), socket, &n)
		if err == nil {
			_ = s.Close()
			break
		}
		time.Sleep(200 * time.Microsecond)
	}
	took := time.Since(began)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_ = os.Remove(socket)
	return milliseconds(took)
}

func startNode(b *testing.B, kind string) float64 {
	r := newRig(b)
	n := makeNode(kind)
	began := time.Now()
	r.apply(n)
	r.settled(n)
	took := time.Since(began)
	if err := r.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
	return milliseconds(took)
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
