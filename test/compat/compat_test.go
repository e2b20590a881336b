package compat

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/larder-cache/larder/test/harness"
)

// deployment is what all tests share, and kernel its like in the kernel fabric, or nil.
var deployment, kernel *harness.Deployment

func TestMain(m *testing.M) {
	if os.Getenv("LARDER_CLUSTER_CLIENT") != "" {
		goRedisClient() // this program is one of the clients of TestClusterClients
		return
	}
	os.Exit(func() int {
		options := []harness.Options{{}}
		if os.Geteuid() == 0 && os.Getenv("LARDER_FABRIC") == "" {
			options = append(options, harness.Options{Fabric: "kernel"})
		}
		var running []*harness.Deployment
		code := 0
		for _, o := range options {
			d, err := harness.Launch(context.Background(), o)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
				break
			}
			running = append(running, d)
		}
		if code == 0 {
			deployment = running[0]
			if len(running) > 1 {
				kernel = running[1]
			}
			code = m.Run()
		}
		for _, d := range running {
			if code != 0 {
				fmt.Fprintln(os.Stderr, "the server's last words:\n"+d.Output())
			}
			if err := d.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "taking the deployment down:", err)
				code = 1
			}
		}
		return code
	}())
}

// everywhere runs a test on the shared deployment, and on the one in the kernel
// fabric where that can be had, which takes root.
func everywhere(t *testing.T, test func(t *testing.T, d *harness.Deployment)) {
	t.Helper()
	for name, d := range map[string]*harness.Deployment{"shared": deployment, "kernel": kernel} {
		if d == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

// rooms are for the VPCs of tests: a deployment has windows for four, and two are for
// the default VPCs of the regions that tests use.
var rooms = make(chan struct{}, 2)

// makesVPC waits for room for the one VPC at a time that a test makes, however many
// tests run at once.
func makesVPC(t *testing.T) {
	t.Helper()
	rooms <- struct{}{}
	t.Cleanup(func() { <-rooms })
}

// need skips a test on a machine without a program; continuous integration
// installs all but Terraform.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	return path
}

// script runs an interpreter on a file of this package with a deployment's
// environment.
func script(t *testing.T, d *harness.Deployment, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need(t, program), args...)
	cmd.Env = append(d.Env(), "LARDER_CA_FILE="+filepath.Join(d.DataDir, "ca.pem"))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d *harness.Deployment) { script(t, d, "python3", "python/lifecycle.py") })
}

func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("js/node_modules/@aws-sdk/client-elasticache"); err != nil {
		t.Skip("the SDK is not installed: run scripts/install-test-tools.sh")
	}
	everywhere(t, func(t *testing.T, d *harness.Deployment) { script(t, d, "node", "js/lifecycle.mjs") })
}
