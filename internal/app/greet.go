package app

import (
	"fmt"

	"github.com/larder-cache/larder/internal/config"
)

// greet says where the server is and how to make a first cache.
func (s *server) greet() {
	s.io.Log.Info("serving", "endpoint", s.listener.url, "data", s.cfg.DataDir)
	dir := ""
	if s.cfg.DataDir != config.DefaultDataDir(config.OSEnvironment()) {
		dir = " --data-dir " + s.cfg.DataDir
	}
	s.say(`
Larder serves the ElastiCache API at %[1]s

In another terminal, load the credentials:

    eval "$(%[3]s env%[2]s)"

Create a cache, wait for it, connect to it:

    %[3]s aws%[2]s elasticache create-replication-group --replication-group-id first --replication-group-description first --engine valkey --cache-node-type cache.t4g.micro --num-cache-clusters 2
    %[3]s aws%[2]s elasticache wait replication-group-available --replication-group-id first
    redis-cli -h $(%[3]s aws%[2]s elasticache describe-replication-groups --replication-group-id first --query 'ReplicationGroups[0].NodeGroups[0].PrimaryEndpoint.Address' --output text) ping

Ctrl-C stops the server; caches go on. %[3]s down%[2]s stops them too.
`, s.listener.url, dir, s.io.Program)
}

// farewell says what goes on.
func (s *server) farewell() {
	if s.cfg.Ephemeral {
		s.say("Larder has stopped, and its caches with it.\n")
		return
	}
	if n := s.nodeCount(); n > 0 {
		s.say("Larder has stopped. %d nodes go on; larder serve takes them over again, larder down stops them.\n", n)
	}
}

func (s *server) say(format string, args ...any) { _, _ = fmt.Fprintf(s.io.Out, format, args...) }
