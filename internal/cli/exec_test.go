package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/admin"
)

func TestExecArguments(t *testing.T) {
	t.Parallel()
	dataDir, _ := serve(t)
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no command":     {[]string{"i-1"}, exitUsage, "two hyphens and a command"},
		"no hyphens":     {[]string{"i-1", "true"}, exitUsage, "two hyphens and a command"},
		"two instances":  {[]string{"i-1", "i-2", "--", "true"}, exitUsage, "two hyphens and a command"},
		"no instance":    {[]string{"i-1", "--", "true"}, exitFailed, "The instance ID 'i-1' does not exist"},
		"another server": {[]string{"--endpoint", "http://192.0.2.1", "i-1", "--", "true"}, exitUsage, "on the host of the server"},
	} {
		args := append([]string{"exec"}, tc.args...)
		if name != "another server" {
			args = append([]string{"exec", "--data-dir", dataDir}, tc.args...)
		}
		code, _, errOut := line{args: args}.run(t.Context())
		if code != tc.code || !strings.Contains(errOut, tc.says) {
			t.Errorf("%s: exit %d, %q", name, code, errOut)
		}
	}
}

func TestEnterInstance(t *testing.T) {
	t.Parallel()
	running := admin.Instance{ID: "i-1", State: "running", Reached: true, VPC: "vpc-a", Address: "10.1.2.3"}
	space := running
	space.Namespace, space.Resolver = "/run/netns/i-1", "/etc/netns/i-1/resolv.conf"
	address := running
	address.Source = "127.12.2.3"
	stopped, starting := space, space
	stopped.State, starting.Reached = "stopped", false
	for name, tc := range map[string]struct {
		at      admin.Instance
		command []string
		entered error
		// does is what was done, in order, fails a part of the error.
		does, fails string
	}{
		"in":              {space, []string{"sh", "-c", "x"}, nil, "enter /run/netns/i-1 /etc/netns/i-1/resolv.conf, exec [sh -c x]", ""},
		"not let in":      {space, []string{"sh"}, errors.New("only root can"), "enter /run/netns/i-1 /etc/netns/i-1/resolv.conf", "only root can"},
		"no such program": {space, []string{"no-such-program"}, nil, "", "no-such-program"},
		"only an address": {address, []string{"sh"}, nil, "", "have it bind 127.12.2.3, which is 10.1.2.3 in vpc-a"},
		"stopped":         {stopped, []string{"sh"}, nil, "", "i-1 is not running"},
		"not yet there":   {starting, []string{"sh"}, nil, "", "i-1 is not running"},
	} {
		var done []string
		p := Process{
			Enter: func(namespace, resolver string) error {
				done = append(done, fmt.Sprintf("enter %s %s", namespace, resolver))
				return tc.entered
			},
			Exec: func(_ string, argv, _ []string) error {
				done = append(done, fmt.Sprintf("exec %v", argv))
				return nil
			},
		}
		err := enter(p, tc.at, tc.command)
		if strings.Join(done, ", ") != tc.does || (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: did %q, %v", name, done, err)
		}
	}
}
