package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/pki"
)

// bareEngine is an engine without Larder.
type bareEngine struct {
	cmd    *exec.Cmd
	socket string
	// plain and secure are where it listens for TCP and for TLS.
	plain, secure core.Endpoint
}

// startBare starts an engine that only listens on a unix socket, and waits for
// its first PONG.
func startBare(ctx context.Context, dir string, args ...string) (*bareEngine, error) {
	e := &bareEngine{socket: filepath.Join(dir, "s")}
	e.cmd = exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", e.socket, "--dir", dir,
		"--save", "", "--appendonly", "no", "--maxclients", "10000"}, args...)...)
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	if err := until(ctx, wait, func() error { return ping("unix", e.socket) }); err != nil {
		e.stop()
		return nil, fmt.Errorf("the bare engine does not answer: %w", err)
	}
	return e, nil
}

// startServing starts one that also listens on loopback, plain and with TLS.
func startServing(ctx context.Context, dir string) (*bareEngine, error) {
	plain, err := freePort()
	if err != nil {
		return nil, err
	}
	secure, err := freePort()
	if err != nil {
		return nil, err
	}
	cert, key, err := makeCertificate(dir)
	if err != nil {
		return nil, err
	}
	e, err := startBare(ctx, dir, "--bind", plain.Address, "--port", fmt.Sprint(plain.Port), "--tls-port", fmt.Sprint(secure.Port),
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no", "--tcp-backlog", "4096")
	if err != nil {
		return nil, err
	}
	e.plain, e.secure = plain, secure
	return e, nil
}

func (e *bareEngine) stop() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
}

// freePort is an address of loopback on which nobody listens now.
func freePort() (core.Endpoint, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return core.Endpoint{}, err
	}
	defer l.Close()
	return core.Endpoint{Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, nil
}

// makeCertificate writes a certificate of the kind that Larder issues.
func makeCertificate(dir string) (cert, key string, err error) {
	now := time.Now()
	ca, err := pki.NewAuthority("bench", now)
	if err != nil {
		return "", "", err
	}
	issued, err := ca.Issue(pki.Request{Names: []string{"127.0.0.1"}, Now: now, Lifetime: 24 * time.Hour})
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(os.WriteFile(cert, []byte(issued.ChainPEM), 0o600), os.WriteFile(key, []byte(issued.KeyPEM.Reveal()), 0o600))
	return cert, key, err
}

// ping connects, and waits for a PONG.
func ping(network, addr string) error {
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	return pingOn(c)
}

func pingOn(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != "+PONG\r\n" {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}

// wait bounds everything that is waited for.
const wait = time.Minute

// until repeats check without pause worth speaking of until it gives nil.
func until(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// milliseconds is a duration as a figure of the table.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
