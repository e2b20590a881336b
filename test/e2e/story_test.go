package e2e

import (
	"testing"
	"time"

	"github.com/larder-cache/larder/test/harness"
	"github.com/larder-cache/larder/test/story"
)

// TestStory tells the story that the demonstration tells.
func TestStory(t *testing.T) {
	t.Parallel()
	harness.EachFabric(t, testStory)
}

func testStory(t *testing.T, o harness.Options) {
	teller := &story.Teller{D: harness.In(t, o), Say: func(line string) { t.Log(line) }}
	must(t, teller.Run(bounded(t, 3*time.Minute)))
}
