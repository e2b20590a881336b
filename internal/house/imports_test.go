package house

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Names of groups of packages, below internal/.
var (
	services    = []string{"elasticache", "ec2", "sts"}
	controllers = []string{"controller"}
	outermost   = []string{"app", "cli"}
)

// layer is a rule about what packages may import of this module.
type layer struct {
	// packages are below internal/; each covers the packages below it.
	packages []string
	// only, if not nil, are all that may be imported.
	only []string
	// never must not be imported.
	never  []string
	reason string
}

var layers = []layer{
	{packages: []string{"core"}, only: []string{},
		reason: "core is the vocabulary of every package, so it can know none of them"},
	{packages: []string{"catalog", "parameter"}, only: []string{"core", "catalog", "parameter"},
		reason: "what versions and parameters there are is knowledge, not state: it is pure"},
	{packages: []string{"network"}, only: []string{"core"},
		reason: "a policy is a value: whoever enforces it may be anywhere"},
	{packages: []string{"netns"}, only: []string{"core"},
		reason: "a namespace is the kernel's: it knows nothing of what runs inside"},
	{packages: []string{"resource"}, only: []string{"core", "store"},
		reason: "what is stored must not depend on who reads it"},
	{packages: []string{"store", "seal", "pki", "config"}, only: []string{"core", "store"},
		reason: "these serve everyone and know no resource"},
	{packages: []string{"reconcile"}, only: []string{"core", "store"},
		reason: "a queue works on keys, whatever they name"},
	{packages: []string{"runtime", "engine", "relay"}, never: slices.Concat(services, controllers, outermost, []string{"store", "resource", "aws", "admin"}),
		reason: "what runs on a host is told everything by a document; it could move to another host"},
	{packages: []string{"aws"}, only: []string{"aws", "core"},
		reason: "the protocols know no business"},
	{packages: services, never: slices.Concat(controllers, outermost, []string{"runtime", "engine", "relay", "reconcile", "admin"}),
		reason: "a handler commits what is wanted and answers; others carry it out"},
	{packages: controllers, never: slices.Concat(services, outermost, []string{"aws", "admin", "engine", "relay", "runtime/local"}),
		reason: "controllers act on what is stored, whoever stored it, through the runtime's contract alone"},
	{packages: []string{"admin"}, never: slices.Concat(services, controllers, outermost, []string{"engine", "relay", "runtime/local"}),
		reason: "the admin API shows what is stored and what the runtime says"},
	{packages: []string{"cli"}, never: slices.Concat(services, controllers, []string{"app", "engine", "relay", "runtime", "store"}),
		reason: "commands talk to a server; what they start is handed to them"},
}

func under(pkg string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	})
}

func TestImportsPointInwards(t *testing.T) {
	t.Parallel()
	for _, s := range product(t) {
		pkg, ok := strings.CutPrefix(s.dir, "internal/")
		if !ok {
			continue
		}
		for _, spec := range s.file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imported, ours := strings.CutPrefix(path, module+"internal/")
			for _, l := range layers {
				if ours && under(pkg, l.packages) && !l.allows(pkg, imported) {
					t.Errorf("%s: %s must not import %s: %s", s.at(spec), pkg, imported, l.reason)
				}
			}
			if pkg == "core" && strings.Contains(path, ".") {
				t.Errorf("%s: core imports only the standard library, not %s", s.at(spec), path)
			}
			if ours && imported == "app" {
				t.Errorf("%s: only the program itself imports app: it is the composition root", s.at(spec))
			}
		}
	}
}

func (l layer) allows(pkg, imported string) bool {
	if l.only != nil {
		// Packages below one and the same root belong together.
		root, _, _ := strings.Cut(pkg, "/")
		return under(imported, l.only) || under(imported, []string{root})
	}
	return !under(imported, l.never)
}

// The rules name packages; a name that no longer exists would check nothing.
func TestLayersNamePackages(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, s := range sources(t) {
		pkg, ok := strings.CutPrefix(s.dir, "internal/")
		for ok && pkg != "." {
			exists[pkg] = true
			cut := strings.LastIndex(pkg, "/")
			if cut < 0 {
				break
			}
			pkg = pkg[:cut]
		}
	}
	for _, l := range layers {
		for _, name := range slices.Concat(l.packages, l.only, l.never) {
			if !exists[name] {
				t.Errorf("a rule names internal/%s, which does not exist", name)
			}
		}
	}
}

func TestLayerAllows(t *testing.T) {
	t.Parallel()
	inward := layer{packages: []string{"a"}, only: []string{"core"}}
	outward := layer{packages: []string{"a"}, never: []string{"b"}}
	for _, c := range []struct {
		l        layer
		imported string
		want     bool
	}{
		{inward, "core", true},
		{inward, "a/sub", true},
		{inward, "corelike", false},
		{inward, "b", false},
		{outward, "c", true},
		{outward, "b", false},
		{outward, "b/sub", false},
	} {
		if got := c.l.allows("a", c.imported); got != c.want {
			t.Errorf("%v: importing %s gives %v", c.l, c.imported, got)
		}
	}
}
