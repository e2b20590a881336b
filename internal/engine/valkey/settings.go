package valkey

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// bufferLimits is the directive whose value is a list of classes. It is set and
// compared class by class: the engine always answers with all of them.
const bufferLimits = "client-output-buffer-limit"

// setSettings changes what differs from want. What the engine does not know or
// take is said in refused, and does not keep the rest from being set.
func (s *session) setSettings(ctx context.Context, want map[string]string) (refused []string, err error) {
	names := slices.Sorted(maps.Keys(want))
	if len(names) == 0 {
		return nil, nil
	}
	r, err := s.conn.do(ctx, append([]string{"CONFIG", "GET"}, names...)...)
	if err != nil {
		return nil, fmt.Errorf("valkey: read settings: %w", err)
	}
	have := make(map[string]string, len(names))
	for i := 0; i+1 < len(r.array); i += 2 {
		have[r.array[i].text] = r.array[i+1].text
	}
	var (
		changed []string
		cmds    [][]string
	)
	for _, name := range names {
		value, known := have[name]
		if !known {
			refused = append(refused, fmt.Sprintf("setting %s is unknown to this engine", name))
			continue
		}
		if !sameSetting(name, value, want[name]) {
			changed = append(changed, name)
			cmds = append(cmds, []string{"CONFIG", "SET", name, want[name]})
		}
	}
	// One command each, so that one that is refused does not take others along.
	replies, err := s.conn.pipeline(ctx, cmds...)
	if err != nil {
		return nil, fmt.Errorf("valkey: change settings: %w", err)
	}
	for i, r := range replies {
		if err := r.failure(); err != nil {
			refused = append(refused, fmt.Sprintf("setting %s is refused: %s", changed[i], err))
		}
	}
	return refused, nil
}

// sameSetting reports whether nothing has to be set. A value spelled in another
// way than the engine's counts as different, and setting it again does no harm.
func sameSetting(name, have, want string) bool {
	if name != bufferLimits {
		return have == want
	}
	classes := limitsByClass(have)
	for class, limit := range limitsByClass(want) {
		if classes[class] != limit {
			return false
		}
	}
	return true
}

// limitsByClass takes "normal 0 0 0 pubsub 1 2 3" apart.
func limitsByClass(value string) map[string][3]string {
	fields := strings.Fields(value)
	out := make(map[string][3]string)
	for ; len(fields) >= 4; fields = fields[4:] {
		class := fields[0]
		if class == "slave" {
			class = "replica"
		}
		out[class] = [3]string(fields[1:4])
	}
	return out
}
