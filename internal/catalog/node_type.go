package catalog

import (
	"cmp"
	"slices"
)

// NodeType is a size of node. It limits what an engine uses; it reserves
// nothing on the host.
type NodeType struct {
	// Name is e.g. "cache.m6g.large".
	Name string
	// MaxMemory is the memory of a Redis or Valkey node in bytes, before the
	// reserved share is taken off.
	MaxMemory int64
	// MaxClients limits client connections of Redis and Valkey.
	MaxClients int
	// CacheMemory is the memory of a Memcached node in MB; 0 if there is no
	// Memcached of this type.
	CacheMemory int
	// VCPUs follow from the size; Memcached has that many worker threads.
	VCPUs int
	// DataTiering marks types that keep a part of the data on disks.
	DataTiering bool

	minimum map[string]string
}

// Supports reports whether an engine's version, in three parts, runs on the type.
func (t NodeType) Supports(engine, version string) bool {
	least, ok := t.minimum[engine]
	return ok && Compare(version, least) >= 0
}

// Runs reports whether any version of an engine runs on the type.
func (t NodeType) Runs(engine string) bool {
	_, ok := t.minimum[engine]
	return ok
}

// sizes are the sizes' virtual CPUs.
var sizes = map[string]int{
	"micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16,
	"8xlarge": 32, "10xlarge": 40, "12xlarge": 48, "16xlarge": 64, "24xlarge": 96,
}

// sizeClass is the memory of a size within a family: bytes for Redis and
// Valkey, MB for Memcached.
type sizeClass struct {
	size        string
	maxMemory   int64
	cacheMemory int
}

// family is a kind of machine in several sizes.
type family struct {
	name string
	// minimum is the oldest version by engine; an engine that is missing does
	// not run on the family.
	minimum map[string]string
	sizes   []sizeClass
}

var (
	anyEngine  = map[string]string{Redis: "4.0.10", Valkey: "7.2", Memcached: "1.4.5"}
	graviton2  = map[string]string{Redis: "5.0.6", Valkey: "7.2", Memcached: "1.5.16"}
	graviton3  = map[string]string{Redis: "6.2", Valkey: "7.2", Memcached: "1.5.16"}
	graviton3n = map[string]string{Redis: "6.2", Valkey: "7.2", Memcached: "1.6.6"}
	graviton4  = map[string]string{Valkey: "7.2", Memcached: "1.6.6"}
	tiering    = map[string]string{Redis: "6.2", Valkey: "7.2"}
)

var (
	general = []sizeClass{
		{"large", 6854542746, 6537}, {"xlarge", 13891921715, 13248}, {"2xlarge", 27966669210, 26671},
		{"4xlarge", 56116178125, 53516}, {"12xlarge", 168715971994, 160900},
	}
	memory = []sizeClass{
		{"large", 14037181030, 13387}, {"xlarge", 28261849702, 26953}, {"2xlarge", 56711183565, 54084},
		{"4xlarge", 113609865216, 108347}, {"12xlarge", 341206346547, 325400},
	}
	tiered = []sizeClass{
		{"xlarge", 28261849702, 0}, {"2xlarge", 56711183565, 0}, {"4xlarge", 113609865216, 0},
		{"8xlarge", 225000375228, 0}, {"12xlarge", 341206346547, 0}, {"16xlarge", 450000750456, 0},
	}
)

var families = []family{
	{"t2", anyEngine, []sizeClass{{"micro", 581959680, 555}, {"small", 1665138688, 1588}, {"medium", 3461349376, 3301}}},
	{"t3", anyEngine, []sizeClass{{"micro", 536870912, 512}, {"small", 1471026299, 1402}, {"medium", 3317862236, 3364}}},
	{"t4g", graviton2, []sizeClass{{"micro", 536870912, 512}, {"small", 1471026299, 1402}, {"medium", 3317862236, 3164}}},
	{"m4", anyEngine, []sizeClass{
		{"large", 6892593152, 6573}, {"xlarge", 15328501760, 11496}, {"2xlarge", 31889126359, 30412},
		{"4xlarge", 65257290629, 62234}, {"10xlarge", 166047614239, 158355},
	}},
	{"m5", anyEngine, append(general[:5:5], sizeClass{"24xlarge", 337500562842, 321865})},
	{"m6g", graviton2, append(general[:5:5], sizeClass{"8xlarge", 111325552312, 107000}, sizeClass{"16xlarge", 225000375228, 214577})},
	{"m7g", graviton3, append(general[:5:5], sizeClass{"8xlarge", 111325552312, 107000}, sizeClass{"16xlarge", 225000375228, 214577})},
	{"m8g", graviton4, []sizeClass{
		{"large", 7294178820, 6956}, {"xlarge", 15222495510, 14517}, {"2xlarge", 31866224640, 30390}, {"4xlarge", 65856864256, 62806},
		{"8xlarge", 133838143488, 127638}, {"12xlarge", 201819422720, 192470}, {"16xlarge", 269800701952, 257302},
	}},
	{"r4", anyEngine, []sizeClass{
		{"large", 13201781556, 12590}, {"xlarge", 26898228839, 25652}, {"2xlarge", 54197537997, 51686},
		{"4xlarge", 108858546586, 103815}, {"8xlarge", 218255432090, 208144}, {"16xlarge", 437021573120, 416776},
	}},
	{"r5", anyEngine, append(memory[:5:5], sizeClass{"24xlarge", 682485973811, 650869})},
	{"r6g", graviton2, append(memory[:5:5], sizeClass{"8xlarge", 225000375228, 214577}, sizeClass{"16xlarge", 450000750456, 429154})},
	{"r7g", graviton3, append(memory[:5:5], sizeClass{"8xlarge", 225000375228, 214577}, sizeClass{"16xlarge", 450000750456, 429154})},
	{"r8g", graviton4, []sizeClass{
		{"large", 15222495510, 14517}, {"xlarge", 31866224640, 30390}, {"2xlarge", 65856864256, 62806}, {"4xlarge", 133838143488, 127638},
		{"8xlarge", 269800701952, 257302}, {"12xlarge", 405763260416, 386966}, {"16xlarge", 541725818880, 516630},
	}},
	{"r6gd", tiering, tiered},
	{"c7gn", graviton3n, []sizeClass{
		{"large", 3317862236, 3164}, {"xlarge", 6854542746, 6537}, {"2xlarge", 13891921715, 13248}, {"4xlarge", 27966669210, 26671},
		{"8xlarge", 56116178125, 53516}, {"12xlarge", 84357985997, 80450}, {"16xlarge", 113609865216, 108347},
	}},
	{"c8gn", graviton4, []sizeClass{
		{"large", 3330020474, 3176}, {"xlarge", 7294178820, 6956}, {"2xlarge", 15222495510, 14517}, {"4xlarge", 31866224640, 30390},
		{"8xlarge", 65856864256, 62806}, {"12xlarge", 99847503872, 95222}, {"16xlarge", 133838143488, 127638},
	}},
}

// NodeTypes are all types, sorted by name.
func NodeTypes() []NodeType {
	var out []NodeType
	for _, f := range families {
		for _, c := range f.sizes {
			out = append(out, newNodeType(f, c))
		}
	}
	slices.SortFunc(out, func(a, b NodeType) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// LookupNodeType finds a type by its name, e.g. "cache.t3.micro".
func LookupNodeType(name string) (NodeType, bool) {
	for _, f := range families {
		for _, c := range f.sizes {
			if name == typeName(f, c) {
				return newNodeType(f, c), true
			}
		}
	}
	return NodeType{}, false
}

// ScaleTargets are the names of the types that a node of type t with the given
// engine may change to: up has at least t's memory, down has less. Both are
// sorted and never nil. Types with data tiering stay among themselves.
func (t NodeType) ScaleTargets(engine, version string) (up, down []string) {
	up, down = []string{}, []string{}
	for _, o := range NodeTypes() {
		switch {
		case o.Name == t.Name || o.DataTiering != t.DataTiering || !o.Supports(engine, version):
		case o.MaxMemory >= t.MaxMemory:
			up = append(up, o.Name)
		default:
			down = append(down, o.Name)
		}
	}
	return up, down
}

func typeName(f family, c sizeClass) string { return "cache." + f.name + "." + c.size }

func newNodeType(f family, c sizeClass) NodeType {
	t := NodeType{
		Name:      typeName(f, c),
		MaxMemory: c.maxMemory, CacheMemory: c.cacheMemory, MaxClients: 65000, VCPUs: sizes[c.size],
		DataTiering: f.name == "r6gd", minimum: f.minimum,
	}
	small := c.size == "small" || c.size == "medium"
	switch {
	case f.name == "t2" || c.size == "micro":
		t.MaxClients = 20000
	case f.name == "t3" && small:
		t.MaxClients = 46000
	}
	if f.name == "t2" && c.size != "medium" {
		t.VCPUs = 1
	}
	return t
}
