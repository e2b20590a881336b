package rules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/netns"
	"github.com/larder-cache/larder/internal/network"
	"golang.org/x/sys/unix"
)

// lan is the kernel's side of drawn worlds: the VPC's namespace with the addresses
// of nodes, endpoints and the resolver, and a namespace for each instance. Things
// listen on every port that a test dials, so that the rules alone decide.
type lan struct {
	t     testing.TB
	vpc   *netns.Namespace
	conn  *Conn
	inst  []*netns.Namespace
	tcp   []int // listeners in the VPC's namespace
	udp   []int
	other []int // raw sockets
	// of instances, by number
	instTCP, instUDP, instOther [][]int
}

var listened = []uint16{53, 998, 999, 1000, 1001, 1002, 1003, 1004, 1005, 6379, 6380, portRelay, portHidden}

const protocolESP = 50

func newLAN(t testing.TB, name string, addresses ...netip.Addr) *lan {
	t.Helper()
	l := &lan{t: t, vpc: namespace(t, name)}
	for n := range drawnInstances {
		l.inst = append(l.inst, namespace(t, fmt.Sprintf("%s-i%d", name, n)))
	}
	for n := range drawnNodes {
		addresses = append(addresses, nodeAddress(n))
	}
	for n := range 3 {
		addresses = append(addresses, endpointAddress(n))
	}
	l.wire(append(addresses, addr("10.1.0.2")))
	l.conn = open(t, l.vpc)
	l.tcp, l.udp, l.other = l.listen(l.vpc)
	for _, ns := range l.inst {
		tcp, udp, other := l.listen(ns)
		l.instTCP, l.instUDP, l.instOther = append(l.instTCP, tcp), append(l.instUDP, udp), append(l.instOther, other)
	}
	return l
}

// wire makes links and addresses. Neighbours are told, not asked for, so that no
// packet waits for an answer.
func (l *lan) wire(addresses []netip.Addr) {
	l.t.Helper()
	quiet := func(ns *netns.Namespace, more ...string) {
		run(l.t, ns, append([]string{"sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"}, more...)...)
	}
	quiet(l.vpc, "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.tcp_fwmark_accept=1", "net.ipv4.tcp_syncookies=0")
	commands := []string{"link set lo up"}
	for _, a := range addresses {
		commands = append(commands, fmt.Sprintf("addr add %s/32 dev lo", a))
	}
	for n, ns := range l.inst {
		quiet(ns)
		mac, peer := fmt.Sprintf("02:00:00:00:01:%02x", n), fmt.Sprintf("02:00:00:00:02:%02x", n)
		commands = append(commands,
			fmt.Sprintf("link add i-%d address %s type veth peer name eth0 address %s netns %s", n, mac, peer, strings.TrimPrefix(ns.Path(), netns.Dir+"/")),
			fmt.Sprintf("link set i-%d up", n),
			fmt.Sprintf("neigh add %s lladdr %s dev i-%d nud permanent", instanceAddress(n), peer, n),
			fmt.Sprintf("route add %s/32 dev i-%d", instanceAddress(n), n))
	}
	ipBatch(l.t, l.vpc, commands)
	for n, ns := range l.inst {
		ipBatch(l.t, ns, []string{
			"link set lo up", "link set eth0 up",
			fmt.Sprintf("addr add %s/32 dev eth0", instanceAddress(n)),
			fmt.Sprintf("neigh add 10.1.0.1 lladdr 02:00:00:00:01:%02x dev eth0 nud permanent", n),
			"route add default via 10.1.0.1 dev eth0 onlink",
		})
	}
}

func ipBatch(t testing.TB, ns *netns.Namespace, commands []string) {
	t.Helper()
	err := ns.Do(func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lan) listen(ns *netns.Namespace) (tcp, udp, other []int) {
	l.t.Helper()
	socket := func(kind, protocol int) (int, error) {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
		if err == nil {
			l.t.Cleanup(func() { unix.Close(fd) })
		}
		return fd, err
	}
	err := ns.Do(func() error {
		for _, port := range listened {
			t, err := socket(unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			u, err := socket(unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			at := &unix.SockaddrInet4{Port: int(port)}
			if err := errors.Join(Transparent(t), unix.Bind(t, at), unix.Listen(t, 4096), unix.Bind(u, at)); err != nil {
				return err
			}
			tcp, udp = append(tcp, t), append(udp, u)
		}
		for _, p := range []int{unix.IPPROTO_ICMP, protocolESP} {
			fd, err := socket(unix.SOCK_RAW, p)
			if err != nil {
				return err
			}
			other = append(other, fd)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return tcp, udp, other
}

// dial is one attempt to reach something. Of ICMP, the port is the type.
type dial struct {
	from     int
	protocol network.Protocol
	to       netip.AddrPort
	code     uint8
	// spoof is a source address that is not the instance's.
	spoof netip.Addr
}

func (d dial) String() string {
	return fmt.Sprintf("%s -> %s, protocol %d, code %d", instanceAddress(d.from), d.to, d.protocol, d.code)
}

// outcome is what became of a dial.
type outcome struct {
	arrived, reset bool
	// marked: the kernel remembers that everyone is let in.
	marked bool
	// at is where a TCP connection ended up, as the kernel remembers it.
	at netip.AddrPort
}

// probe dials everything and says what became of it. Each dial is a new flow. It
// does not wait for silence: all packets go through one processor's queue, where a
// connection that is always allowed has to queue behind them.
func (l *lan) probe(dials []dial) []outcome {
	l.t.Helper()
	l.forgetAll()
	out := make([]outcome, len(dials))
	local := map[end]int{}
	var open []int
	for from, ns := range l.inst {
		if !slices.ContainsFunc(dials, func(d dial) bool { return d.from == from }) {
			continue
		}
		err := ns.Do(func() error {
			var cpu unix.CPUSet
			cpu.Set(0)
			if err := unix.SchedSetaffinity(0, &cpu); err != nil {
				return err
			}
			tcp := map[int]int{}
			for n, d := range dials {
				if d.from != from {
					continue
				}
				fd, err := send(d, uint32(n))
				if err != nil {
					return fmt.Errorf("%v: %w", d, err)
				}
				if d.protocol == network.TCP || d.protocol == network.UDP {
					sa, err := unix.Getsockname(fd)
					if err != nil {
						return err
					}
					local[end{uint8(d.protocol), fromSockaddr(sa)}] = n
				}
				if d.protocol == network.TCP {
					tcp[n] = fd
				} else { // open until the end, so that no other dial has its port
					open = append(open, fd)
				}
			}
			for range 4 { // to another instance and back are four links
				if err := barrier(); err != nil {
					return err
				}
			}
			for n, fd := range tcp {
				out[n].arrived, out[n].reset = handshaken(fd)
				open = append(open, fd)
			}
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.collect(out, local)
	marked, err := l.conn.flows(markUntracked, func(flow) bool { return true })
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range marked {
		if n, ok := local[end{f.protocol, f.client}]; ok {
			out[n].marked = true
		}
	}
	for _, fd := range open {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(fd)
	}
	return out
}

// end is the client's end of a dial.
type end struct {
	protocol uint8
	at       netip.AddrPort
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	in := sa.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
}

// send begins a flow; datagrams carry the number of the dial.
func send(d dial, number uint32) (int, error) {
	to := &unix.SockaddrInet4{Addr: d.to.Addr().As4()}
	payload := binary.BigEndian.AppendUint32(nil, number)
	kind, protocol := unix.SOCK_RAW, int(d.protocol)
	switch d.protocol {
	case network.TCP:
		to.Port = int(d.to.Port())
		kind, protocol = unix.SOCK_STREAM, 0
	case network.UDP:
		to.Port = int(d.to.Port())
		kind, protocol = unix.SOCK_DGRAM, 0
	case network.ICMP: // the number is where echo has its identifier and number
		payload = append([]byte{byte(d.to.Port()), d.code, 0, 0}, append(payload, make([]byte, 12)...)...)
		binary.BigEndian.PutUint16(payload[2:], checksum(payload))
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, err
	}
	from := instanceAddress(d.from)
	if d.spoof.IsValid() {
		from = d.spoof
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1); err != nil {
			return fd, err
		}
	}
	// Bound to a port of its own, so that the port tells which dial arrived.
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
		return fd, err
	}
	if d.protocol == network.TCP {
		if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			return fd, err
		}
		return fd, nil
	}
	return fd, unix.Sendto(fd, payload, 0, to)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for n := 0; n+1 < len(b); n += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[n:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// barrier returns when everything sent before has been dealt with.
func barrier() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 1, 0, 2}, Port: portDNS}); err != nil {
		return fmt.Errorf("the resolver cannot be reached: %w", err)
	}
	return nil
}

func handshaken(fd int) (arrived, reset bool) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
		return false, false
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return err == nil && errno == 0, unix.Errno(errno) == unix.ECONNREFUSED
}

// collect reads what has arrived everywhere.
func (l *lan) collect(out []outcome, local map[end]int) {
	l.t.Helper()
	for n := range len(l.inst) + 1 {
		tcp, udp, other := l.tcp, l.udp, l.other
		if n > 0 {
			tcp, udp, other = l.instTCP[n-1], l.instUDP[n-1], l.instOther[n-1]
		}
		for port, fd := range tcp {
			for {
				conn, peer, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
				if err != nil {
					break
				}
				if number, ok := local[end{unix.IPPROTO_TCP, fromSockaddr(peer)}]; ok {
					out[number].at, out[number].marked = carrier(conn, listened[port])
				}
				unix.Close(conn)
			}
		}
		buf := make([]byte, 2048)
		for m, fd := range append(udp, other...) {
			for {
				size, _, err := unix.Recvfrom(fd, buf, 0)
				if err != nil {
					break
				}
				data := buf[:size]
				if m >= len(udp) {
					data = data[20:] // the IP header
					if m == len(udp) {
						if data[0] != 8 && data[0] != 13 {
							continue // an answer
						}
						data = data[4:]
					}
				}
				if number := binary.BigEndian.Uint32(data); int(number) < len(out) {
					out[number].arrived = true
				}
			}
		}
	}
}

// carrier is what the kernel remembers of a connection that a listener accepted: who
// was to carry it, and whether everyone is let in.
func carrier(conn int, listener uint16) (at netip.AddrPort, marked bool) {
	sa, err := unix.Getsockname(conn)
	n, markErr := unix.GetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_MARK)
	if err != nil || markErr != nil {
		return at, false
	}
	at = fromSockaddr(sa)
	if m := mark(n); m != 0 {
		at = netip.AddrPortFrom(m.target(at.Addr()), listener)
		marked = m&markUntracked != 0
	}
	return at, marked
}

// forgetAll makes each packet from here on the first one of a flow.
func (l *lan) forgetAll() {
	l.t.Helper()
	found, err := l.conn.flows(0, func(flow) bool { return true })
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range found {
		if err := l.conn.forget(f); err != nil {
			l.t.Fatal(err)
		}
	}
}
