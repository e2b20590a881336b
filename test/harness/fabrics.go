package harness

import (
	"os"
	"testing"
)

// EachFabric runs a test in every fabric: in the kernel's where it can be had, which
// takes root. LARDER_FABRIC names one to run in alone.
func EachFabric(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	for _, fabric := range []string{"userspace", "kernel"} {
		if only := os.Getenv("LARDER_FABRIC"); only != "" && only != fabric {
			continue
		}
		t.Run(fabric, func(t *testing.T) {
			t.Parallel()
			test(t, Options{Fabric: fabric})
		})
	}
}
