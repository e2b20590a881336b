package valkey

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
		err := r.failure()
		if err != nil && changed[i] == maxClientsSetting {
			err = s.setMostClients(ctx, err)
		}
		if err != nil {
			refused = append(refused, fmt.Sprintf("setting %s is refused: %s", changed[i], err))
		}
	}
	return refused, nil
}

// setMostClients lets in as many clients as the host allows, if that is why the
// engine would not let in as many as it was asked to: it says how many it can.
func (s *session) setMostClients(ctx context.Context, refused error) error {
	_, text, _ := strings.Cut(refused.Error(), "try with ")
	most, err := strconv.Atoi(text)
	if err != nil {
		return refused
	}
	// It counts what it keeps for itself, but not what it has inherited.
	_, err = s.conn.do(ctx, "CONFIG", "SET", maxClientsSetting, strconv.Itoa(most-engineFiles/2))
	return err
}

// countReserved adds the connections that are not the customer's to a limit.
func countReserved(settings map[string]string) {
	if v, err := strconv.Atoi(settings[maxClientsSetting]); err == nil {
		settings[maxClientsSetting] = strconv.Itoa(v + reservedClients)
	}
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
