package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/larder-cache/larder/internal/core"
)

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(b []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(b)
	rec.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

func (rec *recorder) answer(contentType string, status int, body []byte) {
	rec.Header().Set("Content-Type", contentType)
	rec.WriteHeader(status)
	_, _ = rec.Write(body) // a client that has gone needs no answer
}

// record writes the one log record of a request.
func (g *gateway) record(ctx context.Context, x *exchange, rec *recorder, refusal *core.Error, took time.Duration) {
	code := ""
	if refusal != nil {
		code = refusal.Code
	}
	g.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("request", x.request.ID), slog.String("service", x.service), slog.String("action", x.request.Action),
		slog.String("region", x.request.Region), slog.String("key", x.request.AccessKeyID),
		slog.Int("status", rec.status), slog.String("code", code), slog.Duration("duration", took), slog.Int("bytes", rec.bytes))
}

// newRequestID makes a random UUID (version 4).
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
