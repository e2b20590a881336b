package resource

import (
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// AccessKey signs API requests. Key: the access key id.
type AccessKey struct {
	ID      string
	Secret  core.Sealed
	Name    string
	Root    bool
	Created time.Time
}
