package parameter

// memcachedTable is the parameters of Memcached. Limits that ElastiCache does
// not document (of chunk sizes) are those that the server accepts.
//
// worker_logbuf_size is never written: the server (seen with 1.6.18) takes the
// number for a list of slab sizes as well, and makes its slab classes of it.
func memcachedTable() []row {
	const toggle = "0,1"
	return []row{
		{memcached14, memcached16, "backlog_queue_limit", "1024", "1-10000", fixed | reboot, "Connections that wait to be accepted", "", "listen-backlog", ""},
		{memcached14, memcached16, "binding_protocol", "auto", "auto,ascii", reboot, "Protocol that clients may use", "", "protocol", ""},
		{memcached14, memcached16, "cas_disabled", "0", toggle, reboot, "Turn check-and-set off, which saves 8 bytes an item", "", "disable-cas", ""},
		{memcached14, memcached16, "chunk_size", "48", "1-1024", reboot, "Bytes of the smallest item's key, value and flags", "", "slab-min-size", ""},
		{memcached14, memcached16, "chunk_size_growth_factor", "1.25", "1.05-16.0", reboot, "Factor between one slab class and the next", "", "slab-growth-factor", ""},
		{memcached14, memcached16, "config_max", "16", "1-16", fixed | reboot | noEffect, "Configuration entries kept for discovery", "1.4.14", "", ""},
		{memcached14, memcached16, "config_size_max", "65536", "1-65536", fixed | reboot | noEffect, "Bytes of a configuration entry", "1.4.14", "", ""},
		{memcached14, memcached16, "disable_flush_all", "0", toggle, reboot, "Refuse flush_all", "1.4.24", "disable-flush-all", ""},
		{memcached14, memcached16, "error_on_memory_exhausted", "0", toggle, reboot, "Refuse to store when memory is used up, rather than to evict", "", "disable-evictions", ""},
		{memcached14, memcached14, "expirezero_does_not_evict", "0", toggle, reboot | unserved, "Keep items without expiry", "1.4.24", "", ""},
		{memcached14, memcached16, "hash_algorithm", "jenkins", "jenkins,murmur3", reboot | noEffect, "Hash function", "1.4.24", "", ""},
		{memcached14, memcached16, "hashpower_init", "16", "16", fixed | reboot | noEffect, "Initial size of the hash table, as a power of two", "1.4.14", "", ""},
		{memcached14, memcached16, "idle_timeout", "0", "0-86400", reboot, "Seconds after which an idle client is disconnected; 0: never", "1.4.33", "", ""},
		{memcached15, memcached15, "inline_ascii_resp", "0", toggle, reboot | unserved, "Keep the text of a response in the item", "1.5.10", "", ""},
		{memcached14, memcached16, "large_memory_pages", "0", toggle, fixed | reboot | noEffect, "Use large memory pages", "", "", ""},
		{memcached14, memcached16, "lock_down_paged_memory", "0", toggle, fixed | reboot | noEffect, "Lock memory", "", "", ""},
		{memcached14, memcached16, "lru_crawler", "0", toggle, reboot | noEffect, "Reclaim expired items in the background", "1.4.24", "", ""},
		{memcached14, memcached16, "lru_maintainer", "0", toggle, reboot | noEffect, "Move items between the parts of the LRU in the background", "1.4.24", "", ""},
		{memcached14, memcached16, maxCacheMemory, "", "1-100000", fixed | reboot | perType, "Memory of the node in MB, before the overhead of connections is taken off", "", "", ""},
		{memcached14, memcached16, maxItemSize, "1048576", "1024-1073741824", reboot, "Bytes of the largest item", "", "max-item-size", ""},
		{memcached14, memcached16, "max_simultaneous_connections", "65000", "3-65000", fixed | reboot, "Most client connections", "", "conn-limit", ""},
		{memcached14, memcached16, "maxconns_fast", "0", toggle, reboot | noEffect, "Close connections past the limit at once, rather than to let them wait", "1.4.14", "", ""},
		{memcached14, memcached16, "maximize_core_file_limit", "0", toggle, fixed | reboot | noEffect, "Raise the limit of core files", "", "", ""},
		{memcached14, memcached16, connectionsOverhead, "100", "0-100000", reboot | noEffect, "Memory in MB kept for connections", "", "", ""},
		{memcached14, memcached14, "modern", "enabled", "enabled,disabled", fixed | reboot | noEffect, "Defaults of the next major version", "1.4.33", "", ""},
		{memcached15, memcached16, noModern, "1", toggle, reboot | noEffect, "Defaults of version 1.4 for the LRU, slabs, hash and connection limit", "1.5.10", "", ""},
		{memcached14, memcached16, "num_threads", "", "1-", fixed | reboot | perType, "Worker threads", "", "", ""},
		{memcached14, memcached16, "requests_per_event", "20", "20", fixed | reboot | noEffect, "Requests of one client served in a row", "", "", ""},
		{memcached14, memcached16, "slab_automove", "0", "0,1,2", reboot | noEffect, "Move pages between slab classes", "1.4.14", "", ""},
		{memcached14, memcached16, slabChunkMax, "524288", "1024-1048576", reboot, "Bytes of the largest chunk; larger items are put together of several", "1.4.33", "", ""},
		{memcached14, memcached16, "slab_reassign", "0", toggle, reboot | noEffect, "Allow pages to be moved between slab classes", "1.4.14", "", ""},
		{memcached14, memcached16, "track_sizes", "disabled", "enabled,disabled", reboot | noEffect, "Keep a histogram of item sizes", "1.4.33", "", ""},
		{memcached14, memcached16, "watch", "enabled", "enabled,disabled", unserved, "Allow the watch command", "1.4.33", "", ""},
		{memcached14, memcached16, "watcher_logbuf_size", "256", "1-1048576", reboot, "KB of a watcher's buffer", "1.4.33", "", ""},
		{memcached14, memcached16, "worker_logbuf_size", "64", "1-1048576", reboot | unserved, "KB of a worker's log buffer", "1.4.33", "", ""},
	}
}
