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

var deployment *harness.Deployment

func TestMain(m *testing.M) {
	if os.Getenv("LARDER_CLUSTER_CLIENT") != "" {
		goRedisClient() // this program is one of the clients of TestClusterClients
		return
	}
	os.Exit(func() int {
		d, err := harness.Launch(context.Background(), harness.Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		deployment = d
		code := m.Run()
		if code != 0 {
			fmt.Fprintln(os.Stderr, "the server's last words:\n"+d.Output())
		}
		if err := d.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "taking the deployment down:", err)
			code = 1
		}
		return code
	}())
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

// script runs an interpreter on a file of this package with the deployment's
// environment.
func script(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need(t, program), args...)
	cmd.Env = append(deployment.Env(), "LARDER_CA_FILE="+filepath.Join(deployment.DataDir, "ca.pem"))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	script(t, "python3", "python/lifecycle.py")
}

func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("js/node_modules/@aws-sdk/client-elasticache"); err != nil {
		t.Skip("the SDK is not installed: run scripts/install-test-tools.sh")
	}
	script(t, "node", "js/lifecycle.mjs")
}
