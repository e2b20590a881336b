package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/larder-cache/larder/internal/core"
)

// Binary is an engine installed on this host.
type Binary struct {
	// Engine is "redis", "valkey" or "memcached"; Version e.g. "7.0.15".
	Engine, Version string
	// Path of the executable.
	Path string
}

func (b Binary) String() string {
	if b.Engine == Memcached {
		return b.Engine + " " + b.Version
	}
	return b.Engine + "-server " + b.Version
}

// Offer is a version that can be created, and what serves it.
type Offer struct {
	Version
	Binary Binary
}

// EngineDescription is the engine's name for people.
func (o Offer) EngineDescription() string {
	switch o.Engine {
	case Redis:
		return "Redis"
	case Valkey:
		return "Valkey"
	}
	return o.Engine
}

// Description says which version it is, and which binary really runs where that
// is another one.
func (o Offer) Description() string {
	d := fmt.Sprintf("%s version %s", o.Engine, o.Full)
	if o.Binary.Engine == o.Engine && o.Binary.Version == o.Full {
		return d
	}
	return d + " (served by " + o.Binary.String() + ")"
}

// Catalog is what this host can serve. It may be used and updated at the same time.
type Catalog struct {
	exact bool
	now   atomic.Pointer[stock]
}

// stock is what a catalogue has at one time.
type stock struct {
	installed []Binary
	offered   []Offer
}

// New makes the catalogue of the installed engines. An engine serves every
// version of its own line that is not newer than itself; Valkey serves Redis as
// well where no Redis is installed. With exact, only what is installed is
// offered, under its own version.
func New(installed []Binary, exact bool) *Catalog {
	c := &Catalog{exact: exact}
	c.Update(installed)
	return c
}

// Update makes other engines the installed ones.
func (c *Catalog) Update(installed []Binary) {
	s := &stock{}
	for _, b := range installed {
		if least, known := oldest[b.Engine]; known && Compare(b.Version, least) >= 0 {
			s.installed = append(s.installed, b)
		}
	}
	list := versions
	if c.exact {
		list = nil
		for _, b := range s.installed {
			if v, ok := own(b); ok {
				list = append(list, v)
			}
		}
	}
	for _, v := range list {
		if b, ok := s.nearest(v.Engine, v.speaks); ok {
			s.offered = append(s.offered, Offer{v, b})
		}
	}
	slices.SortStableFunc(s.offered, func(a, b Offer) int {
		return cmp.Or(cmp.Compare(a.Engine, b.Engine), Compare(a.Full, b.Full))
	})
	s.offered = slices.CompactFunc(s.offered, func(a, b Offer) bool { return a.Engine == b.Engine && a.Full == b.Full })
	c.now.Store(s)
}

// nearest is the oldest installed binary that serves a version.
func (s *stock) nearest(engine, speaks string) (Binary, bool) {
	var best Binary
	lineInstalled := false
	for _, b := range s.installed {
		if b.Engine != engine {
			continue
		}
		lineInstalled = true
		if Compare(b.Version, speaks) >= 0 && (best.Engine == "" || Compare(b.Version, best.Version) < 0) {
			best = b
		}
	}
	next, has := successor[engine]
	if !lineInstalled && has {
		// Every version of a line is older than the first of its successor.
		return s.nearest(next, oldest[next])
	}
	return best, best.Engine != ""
}

// Offered are the versions that can be created, by engine, oldest first. The
// slice is the caller's.
func (c *Catalog) Offered() []Offer { return slices.Clone(c.now.Load().offered) }

// Default is the newest version of an engine that is offered.
func (c *Catalog) Default(engine string) (Version, bool) {
	for _, o := range slices.Backward(c.now.Load().offered) {
		if o.Engine == engine {
			return o.Version, true
		}
	}
	return Version{}, false
}

// Resolve finds the version that a request means: "7.1", "5.0.6", "6.x" for the
// newest of a major version, or "" for the default. The errors carry AWS's codes.
func (c *Catalog) Resolve(engine, requested string) (Version, error) {
	if requested == "" {
		if v, ok := c.Default(engine); ok {
			return v, nil
		}
		return Version{}, core.Errorf("InvalidParameterCombination", "Cannot find any version for %s: no installed engine serves it.", engine)
	}
	major, any := strings.CutSuffix(requested, ".x")
	for _, o := range slices.Backward(c.now.Load().offered) {
		if o.Engine == engine && (o.Name == requested || any && strings.HasPrefix(o.Name, major+".")) {
			return o.Version, nil
		}
	}
	if short := majorMinor(requested); short != requested && named(engine, requested) && known(engine, short) {
		return Version{}, core.Errorf("InvalidParameterValue",
			"Specific version selection is not allowed for '%s', please use '%s'", requested, short)
	}
	if known(engine, requested) {
		return Version{}, core.Errorf("InvalidParameterCombination",
			"Cannot find version %s for %s: no installed engine serves it.", requested, engine)
	}
	return Version{}, core.Errorf("InvalidParameterCombination", "Cannot find version %s for %s", requested, engine)
}

func known(engine, name string) bool {
	return slices.ContainsFunc(versions, func(v Version) bool { return v.Engine == engine && v.Name == name })
}

// Lookup is the version with this full name, whether or not it is offered now:
// for what was created earlier.
func (c *Catalog) Lookup(engine, full string) (Version, bool) {
	for _, v := range versions {
		if v.Engine == engine && v.Full == full {
			return v, true
		}
	}
	return own(Binary{Engine: engine, Version: full})
}

// Choose is the binary that serves an engine's version, given in full: the
// nearest one that is not older.
func (c *Catalog) Choose(engine, full string) (Binary, error) {
	if v, ok := c.Lookup(engine, full); ok {
		if b, ok := c.now.Load().nearest(engine, v.speaks); ok {
			return b, nil
		}
	}
	return Binary{}, fmt.Errorf("catalog: no installed engine serves %s %s", engine, full)
}
