package valkey

import (
	"bufio"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
)

// parseInfo reads the "name:value" lines of INFO.
func parseInfo(text string) map[string]string {
	out := make(map[string]string)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && !strings.HasPrefix(name, "#") {
			out[name] = value
		}
	}
	return out
}

// stateFrom is what the sections clients, memory and replication say. Fields that are
// missing or odd count as zero.
func stateFrom(info map[string]string) engine.State {
	number := func(name string) int64 {
		v, _ := strconv.ParseInt(info[name], 10, 64)
		return v
	}
	s := engine.State{
		Role:       info["role"],
		Offset:     number("master_repl_offset"),
		UsedMemory: number("used_memory"),
		// The administrator that asks is one of them.
		Clients:    max(int(number("connected_clients"))-1, 0),
		MaxClients: max(int(number("maxclients"))-reservedClients, 0),
		Replicas:   int(number("connected_slaves")),
	}
	if s.Role == "slave" {
		s.Offset = number("slave_repl_offset")
		s.Primary = core.Endpoint{Address: info["master_host"], Port: int(number("master_port"))}
		s.LinkUp = info["master_link_status"] == "up" && info["master_sync_in_progress"] == "0"
	}
	return s
}
