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
	text := hello + firstCache + goodbye
	if s.cfg.Classic() {
		text = hello + firstClassic + goodbye
	}
	s.say(text, s.listener.url, dir, s.io.Program, s.cfg.Account)
}

// The parts of the greeting. What they are given is, in this order, the endpoint, the
// option that names the data directory, the program and the account.
const (
	hello = `
Larder serves the ElastiCache API at %[1]s

In another terminal, load the credentials:

    eval "$(%[3]s env%[2]s)"
`
	firstCache = `
Create a cache, wait for it, connect to it:

    %[3]s aws%[2]s elasticache create-replication-group --replication-group-id first --replication-group-description first --engine valkey --cache-node-type cache.t4g.micro --num-cache-clusters 2
    %[3]s aws%[2]s elasticache wait replication-group-available --replication-group-id first
    redis-cli -h $(%[3]s aws%[2]s elasticache describe-replication-groups --replication-group-id first --query 'ReplicationGroups[0].NodeGroups[0].PrimaryEndpoint.Address' --output text) ping
`
	// The host has no place in EC2-Classic, so there is nothing to connect from.
	firstClassic = `
The account has EC2-Classic. A cache without a subnet group is there, and only instances there reach it, after their EC2 security group was let in:

    %[3]s aws%[2]s elasticache create-cache-cluster --cache-cluster-id first --engine redis --cache-node-type cache.t3.micro --num-cache-nodes 1
    %[3]s aws%[2]s elasticache authorize-cache-security-group-ingress --cache-security-group-name default --ec2-security-group-name default --ec2-security-group-owner-id %[4]s
`
	goodbye = `
Ctrl-C stops the server; caches go on. %[3]s down%[2]s stops them too.
`
)

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
