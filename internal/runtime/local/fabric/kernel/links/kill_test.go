package links

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/netns"
)

// The variables make the test binary a server that applies a plan, or removes
// everything, and is killed after so many steps.
const (
	killPlan       = "LINKS_TEST_PLAN"
	killSteps      = "LINKS_TEST_STEPS"
	killDeployment = "LINKS_TEST_DEPLOYMENT"
	killHost       = "LINKS_TEST_HOST"
	killResolvers  = "LINKS_TEST_RESOLVERS"
	// removal is the plan to remove everything.
	removal = "removal"
)

func TestMain(m *testing.M) {
	if os.Getenv(killPlan) == "" {
		os.Exit(m.Run())
	}
	if err := beKilled(); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// beKilled returns if the steps are not enough for the kill.
func beKilled() error {
	steps, err := strconv.Atoi(os.Getenv(killSteps))
	if err != nil {
		return err
	}
	host, err := netns.Open(os.Getenv(killHost))
	if err != nil {
		return err
	}
	l, err := New(Config{
		Deployment: os.Getenv(killDeployment), Host: host, ResolverDir: os.Getenv(killResolvers),
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	l.step = func() {
		if steps--; steps == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if os.Getenv(killPlan) == removal {
		return l.Remove()
	}
	failed, err := l.Apply(context.Background(), Plan{Networks: plans()[os.Getenv(killPlan)]})
	for _, f := range failed {
		err = errors.Join(err, f)
	}
	return err
}

// killed applies a plan in a process that is killed after that many steps, and
// reports whether it came that far.
func (r *rig) killed(plan string, steps int) bool {
	r.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killPlan+"="+plan, killSteps+"="+strconv.Itoa(steps),
		killDeployment+"="+r.cfg.Deployment, killHost+"="+r.host.Path(), killResolvers+"="+r.cfg.ResolverDir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true
	}
	r.Fatalf("the server that is to be killed ends with %v: %s", err, out)
	return false
}

// Whenever a server is killed, the next one finishes, as if nothing had happened.
func TestKilledBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		// atLeast so many steps lead there: a test without steps tests nothing.
		atLeast int
	}{
		{"nothing", "sample", 30},
		{"sample", "instances swapped", 15},
		{"instance moved", "sample", 15},
		{"two networks", removal, 10},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			all := plans()
			l := r.open()
			r.apply(l, all[c.to]...)
			want := r.views()
			steps := 1
			for stride := 1; ; steps += stride {
				if testing.Short() {
					stride = 5
				}
				r.apply(l, all[c.from]...)
				if !r.killed(c.to, steps) {
					break
				}
				r.apply(r.open(), all[c.to]...)
				if diff := cmp.Diff(want, r.views()); diff != "" {
					t.Fatalf("after step %d: %s", steps, diff)
				}
			}
			if steps <= c.atLeast {
				t.Errorf("it took %d steps only", steps)
			}
			// The one that was not killed has done it, too.
			if diff := cmp.Diff(want, r.views()); diff != "" {
				t.Errorf("after all steps: %s", diff)
			}
		})
	}
}
