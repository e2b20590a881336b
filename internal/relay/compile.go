package relay

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/dns"
	"github.com/larder-cache/larder/internal/relay/splice"
)

// certificates are the TLS configurations in force, by listener: one is used
// again while its certificate is the same, so that clients' session tickets stay
// good.
type certificates map[string]certificate

type certificate struct {
	chain  string
	key    core.Secret
	config *tls.Config
}

// compile translates a listener. On an error the listener has no backends: its
// clients are reset, never served in another way than asked for.
func (s *server) compile(l Listener, used certificates) (splice.Listener, error) {
	c := splice.Listener{ID: l.ID, VPC: l.VPC, Source: l.Source, CutRemoved: l.CutRemoved, MaxConns: l.MaxConns}
	var err error
	switch l.TLS.Mode {
	case "":
	case "preferred":
		c.Mode = splice.Preferred
	case "required":
		c.Mode = splice.Required
	default:
		return c, fmt.Errorf("unknown TLS mode %q", l.TLS.Mode)
	}
	if c.Mode != splice.Plain {
		if c.TLS, err = s.tlsConfig(l, used); err != nil {
			return c, err
		}
	}
	for _, b := range l.Backends {
		c.Backends = append(c.Backends, splice.Backend{Node: b.Node, Socket: b.Socket, Login: b.Login})
	}
	return c, nil
}

// resolve puts the resolvers in force on the sockets that are held.
func (s *server) resolve(resolvers []Resolver) error {
	views := make([]dns.View, 0, len(resolvers))
	for _, r := range resolvers {
		v := dns.View{Zone: r.Zone, Sockets: map[string]int{}}
		for _, a := range r.Addresses {
			if fd := s.held[a]; fd != 0 {
				v.Sockets[a] = fd
			}
		}
		views = append(views, v)
	}
	return s.names.Apply(views)
}

func (s *server) tlsConfig(l Listener, used certificates) (*tls.Config, error) {
	old, ok := s.certs[l.ID]
	if ok && old.chain == l.TLS.ChainPEM && old.key.Equal(l.TLS.KeyPEM) {
		used[l.ID] = old
		return old.config, nil
	}
	pair, err := tls.X509KeyPair([]byte(l.TLS.ChainPEM), []byte(l.TLS.KeyPEM.Reveal()))
	if err != nil {
		// The cause could quote the key.
		return nil, errors.New("certificate and key do not load")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ok {
		config = old.config.Clone() // with its session ticket keys
	}
	config.Certificates = []tls.Certificate{pair}
	// Replies are copied in large pieces; small first records would only cost.
	config.DynamicRecordSizingDisabled = true
	used[l.ID] = certificate{chain: l.TLS.ChainPEM, key: l.TLS.KeyPEM, config: config}
	return config, nil
}
