package nodespec

import (
	"fmt"

	"github.com/larder-cache/larder/internal/catalog"
	"github.com/larder-cache/larder/internal/parameter"
)

// Directives are engine directives as a node's spec carries them: Live ones can
// change while the engine runs, Start ones only when it starts.
type Directives = parameter.Directives

// Engines knows how parameters reach the engines of this deployment. Its methods
// are pure.
type Engines interface {
	// Directives are those of an engine and its version (as the API names it) on
	// a node type, with the values that the user changed in a group of the
	// version's family.
	Directives(engine, version, nodeType string, values map[string]string) (Directives, error)
	// Default is the value of a parameter that nobody changed.
	Default(engine, version, name string) string
	// Program is what a new node of a version runs; zero if nothing serves it.
	Program(engine, version string) catalog.Binary
}

// Installed are the engines of a catalogue.
type Installed struct{ Catalog *catalog.Catalog }

var _ Engines = Installed{}

// Directives implements Engines. They are fitted to the binary that really runs.
func (i Installed) Directives(engine, version, nodeType string, values map[string]string) (Directives, error) {
	v, ok := i.Catalog.Lookup(engine, version)
	if !ok {
		return Directives{}, fmt.Errorf("%s version %s is not known", engine, version)
	}
	binary, err := i.Catalog.Choose(engine, version)
	if err != nil {
		return Directives{}, err
	}
	node, ok := catalog.LookupNodeType(nodeType)
	if !ok {
		return Directives{}, fmt.Errorf("node type %s is not known", nodeType)
	}
	return parameter.Render(v.Family, binary.Version, values, node)
}

// Default implements Engines.
func (i Installed) Default(engine, version, name string) string {
	v, _ := i.Catalog.Lookup(engine, version)
	family, _ := parameter.Lookup(v.Family)
	p, _ := family.Find(name)
	return p.Default
}

// Program implements Engines.
func (i Installed) Program(engine, version string) catalog.Binary {
	b, err := i.Catalog.Choose(engine, version)
	if err != nil {
		return catalog.Binary{}
	}
	return b
}
