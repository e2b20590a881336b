package gateway

import (
	"net/http"
	"time"
)

// Harden sets the limits that keep slow, silent and talkative clients from
// holding connections and memory of a server with this handler.
func Harden(srv *http.Server) {
	srv.ReadHeaderTimeout = 5 * time.Second
	srv.ReadTimeout = 30 * time.Second
	srv.WriteTimeout = 60 * time.Second
	srv.IdleTimeout = 2 * time.Minute
	srv.MaxHeaderBytes = 64 << 10
}
