package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/config"
	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/engine"
)

// engines are the programs of this host, as they were found last.
type engines struct {
	dirs    []string
	log     *slog.Logger
	catalog *catalog.Catalog
	byPath  atomic.Pointer[map[string]engine.Binary]
	// changed gets something when other programs have been found than before.
	changed chan struct{}
}

// findEngines builds the catalogue from what is installed. No engine at all is said,
// since nothing could be created.
func findEngines(ctx context.Context, cfg config.Config, log *slog.Logger) *engines {
	e := &engines{
		dirs: cfg.EngineDirs, log: log, changed: make(chan struct{}, 1),
		catalog: catalog.New(nil, cfg.EngineVersions == config.VersionsExact),
	}
	if e.find(ctx); len(*e.byPath.Load()) == 0 {
		log.Warn("no engine is installed: install redis-server, valkey-server or memcached, or name their place with --engine-dirs")
	}
	return e
}

// find looks for programs. An odd one is said and passed over.
func (e *engines) find(ctx context.Context) {
	found, err := engine.Discover(ctx, e.dirs)
	if err != nil {
		e.log.Warn("some engines cannot be used", "error", err)
	}
	byPath, installed := make(map[string]engine.Binary, len(found)), make([]catalog.Binary, len(found))
	for i, b := range found {
		byPath[b.Path] = b
		installed[i] = catalog.Binary{Engine: b.Engine, Version: b.Version, Path: b.Path}
		e.log.Info("engine found", "engine", b.Engine, "version", b.Version, "path", b.Path)
	}
	e.byPath.Store(&byPath)
	e.catalog.Update(installed)
}

// follow finds programs anew when they are installed, replaced or removed, until ctx
// ends. What runs goes on as it is.
func (e *engines) follow(ctx context.Context, clock core.Clock) {
	engine.Follow(ctx, clock, e.dirs, func() {
		e.find(ctx)
		select {
		case e.changed <- struct{}{}:
		default: // it has not been heard yet that there was a change
		}
	})
}

// choose gives the runtime the binary that serves a version.
func (e *engines) choose(engineName, version string) (engine.Binary, error) {
	b, err := e.catalog.Choose(engineName, version)
	if err != nil {
		return engine.Binary{}, err
	}
	found, ok := (*e.byPath.Load())[b.Path]
	if !ok {
		return engine.Binary{}, fmt.Errorf("%s has just been removed", b.Path)
	}
	return found, nil
}
