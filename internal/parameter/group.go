package parameter

import "strings"

// Group is a default group of a family.
type Group struct {
	// Name is "default.redis7" or "default.redis7.cluster.on".
	Name, Family, Description string
	ClusterMode               bool
}

const (
	defaultPrefix = "default."
	clusterSuffix = ".cluster.on"
)

// DefaultGroups are the groups that exist without being made, sorted by name.
func DefaultGroups() []Group {
	var out []Group
	for _, name := range Families() {
		f, _ := Lookup(name)
		out = append(out, Group{Name: defaultPrefix + name, Family: name, Description: "Default parameter group for " + name})
		if f.HasClusterMode() {
			out = append(out, Group{
				Name: defaultPrefix + name + clusterSuffix, Family: name, ClusterMode: true,
				Description: "Customized default parameter group for " + name + " with cluster mode on",
			})
		}
	}
	return out
}

// DefaultGroup finds a default group by its name.
func DefaultGroup(name string) (Group, bool) {
	if !strings.HasPrefix(name, defaultPrefix) {
		return Group{}, false
	}
	for _, g := range DefaultGroups() {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// Values are what distinguishes the group from the family's defaults.
func (g Group) Values() map[string]string {
	if g.ClusterMode {
		return map[string]string{ClusterEnabled: "yes"}
	}
	return map[string]string{}
}
