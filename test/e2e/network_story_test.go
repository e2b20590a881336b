package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/harness"
	"github.com/larder-cache/larder/test/story"
)

// TestNetworkStory tells who may connect, as the demonstration does, in both fabrics.
func TestNetworkStory(t *testing.T) {
	t.Parallel()
	for _, fabric := range []string{"userspace", "kernel"} {
		for name, tell := range map[string]struct {
			args []string
			run  func(*story.Networks) error
		}{
			"vpc":     {nil, func(s *story.Networks) error { return s.RunVPC(bounded(t, 3*time.Minute)) }},
			"classic": {[]string{"--platforms=ec2,vpc"}, func(s *story.Networks) error { return s.RunClassic(bounded(t, 3*time.Minute)) }},
		} {
			t.Run(fabric+"/"+name, func(t *testing.T) {
				t.Parallel()
				if fabric == "kernel" && os.Geteuid() != 0 {
					t.Skip("the kernel fabric needs root")
				}
				d := harness.In(t, harness.Options{Fabric: fabric, Args: tell.args})
				must(t, tell.run(&story.Networks{D: d, Kernel: fabric == "kernel", Say: func(line string) { t.Log(line) }}))
			})
		}
	}
}
