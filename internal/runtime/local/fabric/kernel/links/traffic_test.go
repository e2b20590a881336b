package links

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/netns"
)

// listen answers every connection with the client's address, until the test ends.
func (r *rig) listen(ns *netns.Namespace, at string) {
	r.Helper()
	var l net.Listener
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp", at); return err }); err != nil {
		r.Fatal(err)
	}
	done := make(chan struct{})
	r.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			_, _ = c.Write([]byte(host))
			_ = c.Close()
		}
	}()
}

// seen dials and gives the address under which the other end sees the client.
func seen(ns *netns.Namespace, to string, wait time.Duration) (string, error) {
	var answer [64]byte
	var n int
	err := ns.Do(func() error {
		d := net.Dialer{Timeout: wait}
		c, err := d.Dial("tcp4", to)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		n, err = c.Read(answer[:])
		return err
	})
	return string(answer[:n]), err
}

func TestNetworkCarriesTraffic(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	n := sample()
	r.apply(l, n)
	vpc := r.space(l.Namespace(n.ID))
	one, two := r.space(l.InstanceNamespace(n.Instances[0].ID)), r.space(l.InstanceNamespace(n.Instances[1].ID))
	r.listen(vpc, "172.31.16.9:6379")
	r.listen(two, "172.31.32.6:80")
	r.listen(r.host, "172.31.48.10:80")
	for _, c := range []struct {
		name     string
		from     *netns.Namespace
		to, want string
	}{
		{"instance to node", one, "172.31.16.9:6379", "172.31.32.5"},
		{"instance to instance", one, "172.31.32.6:80", "172.31.32.5"},
		{"instance to host", one, "172.31.48.10:80", "172.31.32.5"},
		{"instance to itself", two, "172.31.32.6:80", "172.31.32.6"},
		{"host to node", r.host, "172.31.16.9:6379", "172.31.48.10"},
		{"host to instance", r.host, "172.31.32.6:80", "172.31.48.10"},
		{"node to instance", vpc, "172.31.32.6:80", "172.31.0.1"},
		{"node to node", vpc, "172.31.16.9:6379", "172.31.16.9"},
	} {
		got, err := seen(c.from, c.to, 5*time.Second)
		if err != nil || got != c.want {
			t.Errorf("%s: seen as %q instead of %q (%v)", c.name, got, c.want, err)
		}
	}
	// What nobody has is silent, and there is nothing beyond the network.
	for _, from := range []*netns.Namespace{one, r.host} {
		var silent net.Error
		if _, err := seen(from, "172.31.99.99:80", 200*time.Millisecond); !errors.As(err, &silent) || !silent.Timeout() {
			t.Errorf("an address that nobody has: %v", err)
		}
		if _, err := seen(from, "192.0.2.1:80", 200*time.Millisecond); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("an address outside: %v", err)
		}
	}
}

// Instances keep their connections while others come and go.
func TestConnectionsSurviveChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	n := sample()
	r.apply(l, n)
	var server net.Listener
	vpc, one := r.space(l.Namespace(n.ID)), r.space(l.InstanceNamespace(n.Instances[0].ID))
	err := vpc.Do(func() (err error) { server, err = net.Listen("tcp", "172.31.16.9:6379"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var client net.Conn
	err = one.Do(func() (err error) { client, err = net.Dial("tcp", "172.31.16.9:6379"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	end, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	n.Local = append(n.Local, addr("172.31.16.10"))
	n.Instances = n.Instances[:1]
	n.Host = netip.Addr{}
	r.apply(l, n)
	r.apply(r.open(), n) // a server that has been started again
	buf := make([]byte, 8)
	for range 3 {
		if _, err := client.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if err := end.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if got, err := end.Read(buf); err != nil || string(buf[:got]) != "ping" {
			t.Fatalf("the connection broke: %q, %v", buf[:got], err)
		}
	}
}

func TestNothingIsThereBeforeTheRules(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	refuse := errors.New("no rules yet")
	var views []string
	r.cfg.Before = func(network string, ns *netns.Namespace) error {
		views = append(views, network+": "+r.in(ns, "ip", "-o", "-4", "address", "show")+r.in(ns, "ip", "-o", "link", "show", "type", "veth")+
			r.in(ns, "ip", "route", "show"))
		return refuse
	}
	l := r.open()
	plan := Plan{Networks: []Network{sample()}}
	for range 2 {
		failed, err := l.Apply(context.Background(), plan)
		if err != nil || len(failed) != 1 || !errors.Is(failed["vpc-1"], refuse) {
			t.Fatalf("while there are no rules: %v, %v", failed, err)
		}
	}
	refuse = nil
	r.apply(l, sample())
	r.apply(l, sample())
	if len(views) != 3 {
		t.Errorf("Before was called %d times", len(views))
	}
	for _, v := range views {
		if v != "vpc-1: " {
			t.Errorf("Before finds %q", v)
		}
	}
	views = nil
	r.apply(r.open(), sample())
	if len(views) != 1 || !strings.Contains(views[0], "host") {
		t.Errorf("after a restart Before finds %q", views)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	n := sample()
	r.apply(l, n)
	read := func(ns *netns.Namespace, name string) string {
		var value []byte
		if err := ns.Do(func() (err error) { value, err = os.ReadFile("/proc/sys/" + name); return err }); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(value)), " ")
	}
	vpc, instance := r.space(l.Namespace(n.ID)), r.space(l.InstanceNamespace(n.Instances[0].ID))
	link := InterfaceName(n.Instances[0].ID)
	for _, c := range []struct {
		in         string
		ns         *netns.Namespace
		name, want string
	}{
		{"vpc", vpc, "net/ipv4/ip_forward", "1"},
		{"vpc", vpc, "net/ipv4/conf/all/rp_filter", "1"},
		{"vpc", vpc, "net/ipv4/tcp_fwmark_accept", "1"},
		{"vpc", vpc, "net/ipv4/tcp_syncookies", "0"},
		{"vpc", vpc, "net/ipv4/conf/" + link + "/send_redirects", "0"},
		{"vpc", vpc, "net/ipv4/conf/" + link + "/accept_redirects", "0"},
		{"vpc", vpc, "net/ipv4/conf/" + link + "/proxy_arp", "0"},
		{"vpc", vpc, "net/ipv4/conf/" + link + "/forwarding", "1"},
		{"vpc", vpc, "net/ipv4/conf/host/forwarding", "1"},
		{"vpc", vpc, "net/ipv6/conf/" + link + "/disable_ipv6", "1"},
		{"instance", instance, "net/ipv4/ip_forward", "0"},
		{"instance", instance, "net/ipv4/tcp_tw_reuse", "1"},
		{"instance", instance, "net/ipv4/ip_local_port_range", "10240 65535"},
		{"instance", instance, "net/ipv6/conf/eth0/disable_ipv6", "1"},
		{"host", r.host, "net/ipv4/ip_forward", "0"},
		{"host", r.host, "net/ipv6/conf/all/disable_ipv6", "0"},
		{"host", r.host, "net/ipv6/conf/" + l.hostLink(n.ID) + "/disable_ipv6", "1"},
	} {
		if got := read(c.ns, c.name); got != c.want {
			t.Errorf("%s: %s is %s instead of %s", c.in, c.name, got, c.want)
		}
	}
	text, err := os.ReadFile(l.ResolverFile(n.Instances[0].ID))
	if err != nil || string(text) != "search ec2.internal\nnameserver 172.31.0.2\n" {
		t.Errorf("resolv.conf: %q, %v", text, err)
	}
}

// What runs in an instance ends with it, and nothing else does.
func TestInstancesAreSwitchedOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.open()
	n := sample()
	r.apply(l, n)
	start := func(path string) *exec.Cmd {
		cmd := exec.Command("sleep", "60")
		if err := r.space(path).Do(cmd.Start); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	gone := start(l.InstanceNamespace(n.Instances[0].ID))
	stay := []*exec.Cmd{start(l.InstanceNamespace(n.Instances[1].ID)), start(l.Namespace(n.ID)), start(r.host.Path())}
	n.Instances = n.Instances[1:]
	r.apply(l, n)
	var exit *exec.ExitError
	if err := gone.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("a program of the instance ends with %v", err)
	}
	for _, cmd := range stay {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("a program elsewhere: %v", err)
		}
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("a program elsewhere ends with %v", err)
		}
	}
}
