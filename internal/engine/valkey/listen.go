package valkey

import (
	"context"
	"fmt"
	"strconv"

	"github.com/larder-cache/larder/internal/core"
)

// listen makes the engine listen for clients at an address beside its unix socket, or
// nowhere. Connections that exist are not touched by either. It reads back that it
// has come about.
func (s *session) listen(ctx context.Context, at core.Endpoint) error {
	if s.direct != nil && *s.direct == at {
		return nil
	}
	s.direct = nil
	address, port, err := s.listener(ctx)
	if err != nil {
		return err
	}
	var cmds [][]string
	if !at.IsZero() && address != at.Address {
		// All listeners move with it; only an engine without replication comes here.
		cmds = append(cmds, []string{"CONFIG", "SET", "bind", at.Address})
	}
	if port != strconv.Itoa(at.Port) {
		cmds = append(cmds, []string{"CONFIG", "SET", "port", strconv.Itoa(at.Port)})
	}
	replies, err := s.conn.pipeline(ctx, cmds...)
	if err != nil {
		return fmt.Errorf("valkey: listen at %s: %w", at, err)
	}
	for _, r := range replies {
		if err := r.failure(); err != nil {
			return fmt.Errorf("valkey: listen at %s: %w", at, err)
		}
	}
	if len(cmds) > 0 {
		if address, port, err = s.listener(ctx); err != nil {
			return err
		}
	}
	if port != strconv.Itoa(at.Port) || !at.IsZero() && address != at.Address {
		return fmt.Errorf("valkey: listens at %s:%s, not as it was set", address, port)
	}
	s.direct = &at
	return nil
}

// listener is where the engine says that it listens in plaintext; port "0": nowhere.
func (s *session) listener(ctx context.Context) (address, port string, err error) {
	r, err := s.conn.do(ctx, "CONFIG", "GET", "bind", "port")
	if err != nil {
		return "", "", fmt.Errorf("valkey: ask for the listener: %w", err)
	}
	for i := 0; i+1 < len(r.array); i += 2 {
		switch r.array[i].text {
		case "bind":
			address = r.array[i+1].text
		case "port":
			port = r.array[i+1].text
		}
	}
	return address, port, nil
}
