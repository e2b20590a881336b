package valkey

import (
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
)

// parseState takes from INFO what is of interest in its sections clients, memory,
// replication, keyspace and stats. What is missing or odd counts as zero. It runs for every engine
// every second, so it makes nothing of the rest.
func parseState(info string) engine.State {
	var (
		s             engine.State
		primaryOffset int64
		replicaOffset int64
		replicas      []replicaLine
		linkUp        bool
		syncing       bool
	)
	for info != "" {
		var line string
		line, info, _ = strings.Cut(info, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "role":
			s.Role = strings.Clone(value)
		case "master_host":
			s.Primary.Address = strings.Clone(value)
		case "master_port":
			s.Primary.Port = int(number(value))
		case "master_link_status":
			linkUp = value == "up"
		case "master_sync_in_progress":
			syncing = value == "1"
		case "master_repl_offset":
			primaryOffset = number(value)
		case "slave_repl_offset":
			replicaOffset = number(value)
		case "connected_slaves":
			s.Replicas = int(number(value))
		case "connected_clients":
			s.Clients = max(int(number(value))-1, 0) // less the administrator who asks
		case "maxclients":
			s.MaxClients = max(int(number(value))-reservedClients, 0)
		case "used_memory":
			s.UsedMemory = number(value)
		case "unexpected_error_replies":
			s.Diverged = number(value) > 0
		case "db0":
		default:
			s.OtherDatabases = s.OtherDatabases || isDatabase(name)
			if r, ok := parseReplica(name, value); ok {
				replicas = append(replicas, r)
			}
		}
	}
	for _, r := range replicas {
		s.Online = append(s.Online, r.at)
		if r.silence > maxSilence || primaryOffset-r.offset > maxBehind {
			s.Lagging = append(s.Lagging, r.at)
		}
	}
	s.Offset = primaryOffset
	if s.Role == "slave" {
		s.Offset = replicaOffset
		s.LinkUp = linkUp && !syncing
	}
	return s
}

// A replica says every second how far it is. One that is silent for longer than
// maxSilence, or has more than maxBehind of writes to catch up with, gives answers
// that are too old to be asked for.
const (
	maxSilence = 5        // s
	maxBehind  = 64 << 20 // bytes
)

// replicaLine is what a primary says of a replica that has the whole dataset.
type replicaLine struct {
	at      core.Endpoint
	offset  int64
	silence int64 // s
}

// parseReplica reads a line like
// "slave0:ip=127.1.0.7,port=6379,state=online,offset=14,lag=0".
func parseReplica(name, value string) (r replicaLine, ok bool) {
	rest, ok := strings.CutPrefix(value, "ip=")
	if !ok || !strings.HasPrefix(name, "slave") {
		return r, false
	}
	ip, rest, _ := strings.Cut(rest, ",port=")
	port, rest, _ := strings.Cut(rest, ",state=")
	state, rest, _ := strings.Cut(rest, ",offset=")
	offset, rest, _ := strings.Cut(rest, ",lag=")
	silence, _, _ := strings.Cut(rest, ",") // later versions tell more
	r = replicaLine{core.Endpoint{Address: strings.Clone(ip), Port: int(number(port))}, number(offset), number(silence)}
	return r, state == "online"
}

// isDatabase reports whether a line of INFO is about a database that has keys.
func isDatabase(name string) bool {
	digits, ok := strings.CutPrefix(name, "db")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

func number(value string) int64 {
	v, _ := strconv.ParseInt(value, 10, 64)
	return v
}
