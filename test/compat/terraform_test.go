package compat

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/harness"
)

// TestTerraform applies the example, rotates its token by Terraform and by the
// CLI, expects an empty plan after each step, and destroys it.
func TestTerraform(t *testing.T) {
	t.Parallel()
	tf := newTerraform(t, filepath.Join(harness.Root(), "examples", "terraform", "main.tf"))
	tf.env["TF_VAR_auth_token"] = "terraform-token-0001"
	tf.run("apply", "-auto-approve", "-input=false")
	tf.emptyPlan("after apply")
	tf.env["TF_VAR_auth_token"] = "terraform-token-0002"
	tf.run("apply", "-auto-approve", "-input=false")
	tf.emptyPlan("after ROTATE")
	tf.env["TF_VAR_auth_token_update_strategy"] = "SET"
	tf.run("apply", "-auto-approve", "-input=false")
	tf.emptyPlan("after SET")
	awsCLI(t, nil, "elasticache", "modify-replication-group", "--replication-group-id", "sample-replication-group",
		"--auth-token", "terraform-token-0003", "--auth-token-update-strategy", "ROTATE", "--apply-immediately")
	if _, err := deployment.AwaitGroup(t.Context(), "sample-replication-group", "available"); err != nil {
		t.Fatal(err)
	}
	tf.emptyPlan("after a ROTATE that Terraform knows nothing of")
	tf.run("destroy", "-auto-approve", "-input=false")
}

// TestTerraformSharded makes groups in cluster mode, changes the numbers of their
// shards and replicas, expects an empty plan after each step, and destroys them.
func TestTerraformSharded(t *testing.T) {
	t.Parallel()
	tf := newTerraform(t, filepath.Join("terraform", "sharded.tf"))
	for _, step := range []struct{ when, shards, replicas, members string }{
		{"after apply", "2", "1", "4"},
		{"after a shard was added", "3", "1", "6"},
		{"after a shard went and replicas came", "2", "2", "6"},
	} {
		tf.env["TF_VAR_shards"], tf.env["TF_VAR_replicas"] = step.shards, step.replicas
		tf.run("apply", "-auto-approve", "-input=false")
		tf.emptyPlan(step.when)
		if got := tf.output("members"); got != step.members {
			t.Errorf("%s the group has %s members, not %s", step.when, got, step.members)
		}
	}
	if enabled, address := tf.output("cluster_enabled"), tf.output("endpoint"); enabled != "true" || address == `""` {
		t.Errorf("cluster mode %s, configuration endpoint %s", enabled, address)
	}
	tf.run("destroy", "-auto-approve", "-input=false")
}

// terraform runs on one configuration. It needs Terraform with the AWS provider in
// a local mirror (TF_PLUGIN_MIRROR names one), which package registries of
// distributions do not have. The provider sleeps half a minute after many changes,
// whatever the answer: give `go test` more than its ten minutes.
type terraform struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newTerraform(t *testing.T, config string) *terraform {
	t.Helper()
	need(t, "terraform")
	mirror := os.Getenv("TF_PLUGIN_MIRROR")
	if mirror == "" {
		t.Skip("TF_PLUGIN_MIRROR names no local mirror with the AWS provider")
	}
	dir := t.TempDir()
	main, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "main.tf"), main, 0o600))
	rc := filepath.Join(dir, "terraform.rc")
	must(t, os.WriteFile(rc, []byte("provider_installation {\n  filesystem_mirror {\n    path = \""+mirror+"\"\n  }\n}\n"), 0o600))
	tf := &terraform{t: t, dir: dir, env: map[string]string{
		"TF_CLI_CONFIG_FILE": rc, "TF_IN_AUTOMATION": "1", "TF_VAR_endpoint": deployment.Endpoint,
	}}
	tf.run("init", "-input=false")
	return tf
}

func (tf *terraform) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(tf.t.Context(), "terraform", args...)
	cmd.Dir, cmd.Env = tf.dir, deployment.Env()
	for k, v := range tf.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// run answers what Terraform prints.
func (tf *terraform) run(args ...string) string {
	tf.t.Helper()
	out, err := tf.command(args...).CombinedOutput()
	if err != nil {
		tf.t.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// output is one output of the configuration, as JSON.
func (tf *terraform) output(name string) string {
	tf.t.Helper()
	out, err := tf.command("output", "-json", name).Output()
	if err != nil {
		tf.t.Fatalf("terraform output %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

func (tf *terraform) emptyPlan(when string) {
	tf.t.Helper()
	tf.plansTo(when)
}

// plansTo expects a plan that changes as many resources as there are attributes, in
// place, and shows each of these, or nothing.
func (tf *terraform) plansTo(when string, attributes ...string) {
	tf.t.Helper()
	out, err := tf.command("plan", "-detailed-exitcode", "-input=false", "-no-color").CombinedOutput()
	if len(attributes) == 0 && err != nil {
		tf.t.Errorf("%s the plan is not empty: %v\n%s", when, err, out)
	}
	if want := fmt.Sprintf("0 to add, %d to change, 0 to destroy", len(attributes)); len(attributes) > 0 && !strings.Contains(string(out), want) {
		tf.t.Errorf("%s the plan is not %s: %v\n%s", when, want, err, out)
	}
	for _, name := range attributes {
		if !strings.Contains(string(out), "~ "+name+" ") {
			tf.t.Errorf("%s the plan does not show %s: %v\n%s", when, name, err, out)
		}
	}
}

// set gives a variable a value.
func (tf *terraform) set(variable string, value any) {
	tf.t.Helper()
	encoded, err := json.Marshal(value)
	must(tf.t, err)
	tf.env["TF_VAR_"+variable] = string(encoded)
}
