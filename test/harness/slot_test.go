package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
)

// abandonVariable makes a test of this program launch a deployment with a cache in the
// fabric that it names, tell of it, and wait to be killed.
const abandonVariable = "LARDER_TEST_ABANDON"

// abandoned is what that test tells.
type abandoned struct {
	Dir  string
	Slot int
}

func TestAbandon(t *testing.T) {
	fabric := os.Getenv(abandonVariable)
	if fabric == "" {
		t.Skip("leaves a deployment behind, for another test")
	}
	d := In(t, Options{Fabric: fabric})
	_, err := d.ElastiCache().CreateCacheCluster(t.Context(), &elasticache.CreateCacheClusterInput{
		CacheClusterId: aws.String("left"), Engine: aws.String("redis"), CacheNodeType: aws.String("cache.t3.micro"), NumCacheNodes: aws.Int32(1),
	})
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, "a node", func(ctx context.Context) error {
		n, err := d.Node(ctx, "left/0001")
		if err == nil && n.PID == 0 {
			err = errors.New("it does not run")
		}
		return err
	})
	if err := json.NewEncoder(os.Stdout).Encode(abandoned{Dir: d.Dir, Slot: d.slot.number}); err != nil {
		t.Fatal(err)
	}
	select {}
}

// What a test that was killed has left is gone before another one gets its slot, and
// who lives is left alone.
func TestSlotOfTheDead(t *testing.T) {
	EachFabric(t, func(t *testing.T, o Options) {
		alive := In(t, o)
		dead := abandon(t, o.Fabric)
		d := deploymentIn(dead.Dir, &slot{number: dead.Slot})
		s, err := openSlot(dead.Slot)
		if err != nil {
			t.Fatal(err)
		}
		defer s.release()
		Eventually(t, "nothing is left", func(ctx context.Context) error {
			if _, err := os.Stat(dead.Dir); !s.lock() {
				// A test of another program was quicker, and has done the same.
				if len(d.Processes()) > 0 || !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%v run in %s: %v", d.Processes(), dead.Dir, err)
				}
				return nil
			}
			if err := s.evict(ctx); err != nil {
				return err
			}
			if !s.vacant(o.Fabric) || s.tenant() != (tenant{}) {
				return fmt.Errorf("slot %d is not vacant, its tenant is %+v", s.number, s.tenant())
			}
			if _, err := os.Stat(dead.Dir); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is there: %v", dead.Dir, err)
			}
			return d.left()
		})
		if _, err := alive.Status(t.Context()); err != nil {
			t.Errorf("the deployment of a live test: %v", err)
		}
	})
}

// A deployment that has moved to another slot, in the same directory, is not taken
// for what its predecessor has left.
func TestSlotOfTheLiving(t *testing.T) {
	t.Parallel()
	d := In(t, Options{Fabric: "userspace"})
	s, err := takeSlot(t.Context(), tenant{Dir: d.Dir, Made: true}, "userspace")
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	if err := s.evict(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := d.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// abandon kills a test that has a deployment.
func abandon(t *testing.T, fabric string) abandoned {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestAbandon$")
	cmd.Env = append(os.Environ(), abandonVariable+"="+fabric)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var said string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a abandoned
		if said += lines.Text() + "\n"; json.Unmarshal(lines.Bytes(), &a) == nil {
			if pids := deploymentIn(a.Dir, nil).Processes(); len(pids) < 3 {
				t.Errorf("of %s only %v run: nothing is tested", a.Dir, pids)
			}
			return a
		}
	}
	t.Fatalf("it has abandoned nothing, and says:\n%s", said)
	return abandoned{}
}
