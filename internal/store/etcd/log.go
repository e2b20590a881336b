package etcd

import (
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quietLogger passes etcd's errors on as debug messages: a member logs errors
// even in the course of a clean stop, and what matters reaches the caller as an
// error. Only what ends the process is shown as the error it is.
func quietLogger(log *slog.Logger) *zap.Logger { return zap.New(&logCore{log: log}) }

type logCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func (c *logCore) Enabled(l zapcore.Level) bool { return l >= zapcore.ErrorLevel }

func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{log: c.log, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c *logCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	show := c.log.Debug
	if e.Level > zapcore.ErrorLevel {
		show = c.log.Error
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(enc)
	}
	show("etcd: "+e.Message, "fields", enc.Fields)
	return nil
}

func (*logCore) Sync() error { return nil }
