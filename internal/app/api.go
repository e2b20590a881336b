package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/admin"
	"github.com/larder-cache/larder/internal/aws/gateway"
	ec2wire "github.com/larder-cache/larder/internal/aws/gen/ec2"
	elasticachewire "github.com/larder-cache/larder/internal/aws/gen/elasticache"
	stswire "github.com/larder-cache/larder/internal/aws/gen/sts"
	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/elasticache"
	"github.com/larder-cache/larder/internal/pki"
	"github.com/larder-cache/larder/internal/sts"
)

// apiLifetime is how long the API's own certificate is valid; each start makes a
// new one.
const apiLifetime = 395 * 24 * time.Hour

// apiListener knows the URL that it is reached at.
type apiListener struct {
	net.Listener
	url string
}

// openAPI opens the API's listener, and says in the data directory where it is.
func (s *server) openAPI(ctx context.Context, undo *undo) error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening for the API: %w (another --listen address helps if it is taken)", err)
	}
	undo.add(func() error { _ = l.Close(); return nil })
	if s.listener, err = s.secure(l); err != nil {
		return err
	}
	s.http = &http.Server{Handler: s.handler()}
	gateway.Harden(s.http)
	return s.writeClientFile(s.listener.url)
}

// secure puts TLS on the listener if asked to.
func (s *server) secure(l net.Listener) (apiListener, error) {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil {
		return apiListener{}, fmt.Errorf("listening for the API: %w", err)
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	address := net.JoinHostPort(host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	if !s.cfg.TLS {
		return apiListener{l, "http://" + address}, nil
	}
	cert, err := s.apiCertificate(host)
	if err != nil {
		return apiListener{}, err
	}
	secure := tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	return apiListener{secure, "https://" + address}, nil
}

func (s *server) apiCertificate(host string) (tls.Certificate, error) {
	if s.cfg.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			return cert, fmt.Errorf("the API's certificate: %w", err)
		}
		return cert, nil
	}
	issued, err := s.authority.Issue(pki.Request{
		Names: []string{host, "localhost", "127.0.0.1"}, Now: s.clock.Now(), Lifetime: apiLifetime,
	})
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the API's certificate: %w", err)
	}
	return tls.X509KeyPair([]byte(issued.ChainPEM), []byte(issued.KeyPEM.Reveal()))
}

// handler builds the services behind the gateway.
func (s *server) handler() http.Handler {
	caches := elasticache.New(elasticache.Config{
		Store: s.store, Seal: s.seal, Clock: s.clock, Account: s.cfg.Account, Catalog: s.engines.catalog,
		Networks: s.networks, Classic: s.cfg.Classic(), GroupNodes: s.cfg.GroupNodes, NewID: newID, Domain: s.cfg.DNSDomain, EndpointNames: s.endpointNames(), Log: s.io.Log,
		Advertise: elasticache.Advertise{Host: s.cfg.Advertise, PortFrom: s.cfg.Ports.From, PortTo: s.cfg.Ports.To},
	})
	operators := admin.NewServer(admin.Config{
		Store: s.store, Keys: s.keys, Live: s.runtime, Clock: s.clock, Version: config.Version(), Account: s.cfg.Account,
		Names:  admin.NamesConfig{Domain: s.cfg.DNSDomain, Listen: s.cfg.DNSListen, Ephemeral: s.cfg.Ephemeral},
		Fabric: s.fabric, Troubles: s.troubles.list,
		ClusterStatus: elasticache.ClusterStatus, GroupStatus: elasticache.GroupStatus, Log: s.io.Log,
	})
	return gateway.New(gateway.Config{
		Account: s.cfg.Account, Keys: s.keys, Clock: s.clock, Log: s.io.Log,
		Services: []gateway.Service{elasticachewire.Describe(caches), ec2wire.Describe(s.networks), stswire.Describe(sts.Service{})},
		Extra:    operators.Handlers(),
	})
}
