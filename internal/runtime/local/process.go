package local

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/larder-cache/larder/internal/netns"
)

// gateScript holds a process back until it is known on disk: it becomes the
// engine when it is told to, and ends if whoever should tell it is gone.
const gateScript = `read -r go <&3 && [ "$go" = go ] && exec 3<&- "$@"`

// command is a process to be.
type command struct {
	// dir is the working directory, log the file that both output channels are
	// appended to.
	dir, log string
	path     string
	args     []string
	env      []string
	// namespace is the path of the network namespace to run in; "": this process\'s.
	namespace string
	stdin     []byte
	// files are inherited from engine.FirstFile on, behind the gate.
	files [][]byte
}

// process is an engine's process, a child of ours or one that a former Larder
// started. It is known by its pidfd, so that a signal cannot hit another one.
type process struct {
	pid int
	// start is the start time in clock ticks since boot; with the pid it names
	// the process for as long as the host is up.
	start uint64
	pidfd *os.File
	// exited is closed when the process has ended; status then says how, as far
	// as that can be known.
	exited chan struct{}
	status string
	// watcher is closed when nothing watches the process any more.
	watcher chan struct{}
}

// gate is the way to let a process go on from spawn.
type gate struct{ w *os.File }

// open turns the process into the engine.
func (g gate) open() error {
	_, err := g.w.WriteString("go\n")
	return errors.Join(err, g.w.Close())
}

// refuse ends the process without its ever having been the engine.
func (g gate) refuse() { _ = g.w.Close() }

// spawn starts a process in a session of its own which waits at a gate. The
// caller opens or refuses the gate; our own end does the same as to refuse.
func spawn(c command) (*process, gate, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, gate{}, err
	}
	defer log.Close()
	stdin, err := memoryFile("stdin", c.stdin)
	if err != nil {
		return nil, gate{}, err
	}
	defer stdin.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, gate{}, err
	}
	defer r.Close()
	fds := []uintptr{stdin.Fd(), log.Fd(), log.Fd(), r.Fd()}
	for _, content := range c.files {
		f, err := memoryFile("file", content)
		if err != nil {
			_ = w.Close()
			return nil, gate{}, err
		}
		defer f.Close()
		fds = append(fds, f.Fd())
	}
	argv := append([]string{"/bin/sh", "-c", gateScript, "larder-gate", c.path}, c.args...)
	var pidfd int
	var pid int
	err = within(c.namespace, func() (err error) {
		pid, err = syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
			Dir: c.dir, Env: c.env, Files: fds,
			Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
		})
		return err
	})
	if err != nil {
		_ = w.Close()
		return nil, gate{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p, err := watch(pid, pidfd)
	if err != nil {
		_ = w.Close()
		return nil, gate{}, err
	}
	limit(pid)
	return p, gate{w}, nil
}

// within runs fn in a network namespace.
func within(namespace string, fn func() error) error {
	if namespace == "" {
		return fn()
	}
	ns, err := netns.Open(namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	return ns.Do(fn)
}

// limit gives a process all the descriptors that it may have, and keeps the
// kernel from writing its memory, hence the dataset, to disk when it crashes. It
// is done from here since a shell's ulimit is not the same everywhere. Where
// it cannot be done the process works all the same.
func limit(pid int) {
	var files unix.Rlimit
	if unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &files) == nil {
		files.Cur = files.Max
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &files, nil)
	}
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}

// memoryFile is a file that exists in memory only and cannot be changed.
func memoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("larder-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// errNoProcess says that no process with that pid and start time runs.
var errNoProcess = errors.New("no such process")

// find takes hold of a process by pid and start time.
func find(pid int, start uint64) (*process, error) {
	pidfd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, errNoProcess
	}
	p, err := watch(pid, pidfd)
	if err != nil {
		return nil, err
	}
	if p.start != start {
		p.release()
		return nil, errNoProcess
	}
	return p, nil
}

// watch waits for the end of a process in a goroutine, which costs no thread: a
// pidfd can be polled. It takes over the pidfd.
func watch(pid, pidfd int) (*process, error) {
	start, err := startTime(pid)
	if err == nil {
		err = unix.SetNonblock(pidfd, true)
	}
	if err != nil {
		_ = unix.Close(pidfd)
		return nil, err
	}
	p := &process{
		pid: pid, start: start, pidfd: os.NewFile(uintptr(pidfd), "pidfd"),
		exited: make(chan struct{}), watcher: make(chan struct{}),
	}
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		_ = p.pidfd.Close()
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	go func() {
		defer close(p.watcher)
		ended := false
		err := raw.Read(func(fd uintptr) bool {
			ended = readable(int(fd))
			return ended
		})
		if err != nil || !ended {
			return // released
		}
		p.status = reap(pid)
		close(p.exited)
	}()
	return p, nil
}

func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// reap takes the status of an ended process if it is a child of ours; the pid
// cannot belong to another one before that.
func reap(pid int) string {
	var ws unix.WaitStatus
	if got, err := unix.Wait4(pid, &ws, unix.WNOHANG, nil); err != nil || got != pid {
		return ""
	}
	switch {
	case ws.Signaled():
		return "killed by signal " + unix.SignalName(ws.Signal())
	default:
		return "exit status " + strconv.Itoa(ws.ExitStatus())
	}
}

// kill ends the process without delay. There is nothing that it could still do
// for anybody: no engine here keeps its data.
func (p *process) kill() {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return // released
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
}

// astray reports whether the process is in another network namespace than that at a
// path: one that is no more, since nobody leaves a namespace. "" is any.
func (p *process) astray(namespace string) bool {
	if namespace == "" {
		return false
	}
	shall, err := os.Stat(namespace)
	if err != nil {
		return false
	}
	is, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", p.pid))
	return err == nil && !os.SameFile(is, shall)
}

// release lets go of the process and leaves it alone.
func (p *process) release() {
	_ = p.pidfd.Close()
	<-p.watcher
}

// startTime is field 22 of /proc/PID/stat; the fields are counted from behind the
// program's name, which may hold anything.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, errNoProcess
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("process %d: odd stat", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
