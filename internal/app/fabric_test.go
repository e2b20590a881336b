package app

import (
	"errors"
	"strings"
	"testing"
)

func TestPickFabric(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, asked, kept string
		inUse             bool
		trouble           error
		want, words       string
	}{
		{"by default", "auto", "", false, nil, "kernel", ""},
		{"by default, not root", "auto", "", false, errors.New("needs root"), "userspace", "needs root"},
		{"asked for", "kernel", "", false, nil, "kernel", ""},
		{"asked for, not root", "kernel", "", false, errors.New("needs root"), "", "needs root"},
		{"the other asked for", "userspace", "", false, nil, "userspace", ""},
		{"caches are in the other", "kernel", "userspace", true, nil, "", "--fabric=userspace"},
		{"caches are in the kernel's", "userspace", "kernel", true, nil, "", "--fabric=kernel"},
		{"by default where caches are", "auto", "userspace", true, nil, "userspace", ""},
		{"by default where caches are, kernel", "auto", "kernel", true, nil, "kernel", ""},
		{"caches where nothing can be had", "auto", "kernel", true, errors.New("needs root"), "", "needs root"},
		{"changed while there is no cache", "userspace", "kernel", false, nil, "userspace", ""},
	} {
		got, note, err := pickFabric(c.asked, c.kept, c.inUse, func() error { return c.trouble })
		if err != nil {
			note = err.Error()
		}
		if got != c.want || (got == "") != (err != nil) || !strings.Contains(note, c.words) {
			t.Errorf("%s: %q, %q, %v", c.name, got, note, err)
		}
	}
}
