package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// readFile returns the settings of the configuration file as a flag would be
// given them. No file is no settings.
func (f *Flags) readFile() (map[string]string, error) {
	if !f.all.Changed(fileFlag) {
		f.file = f.env.Get(variable(fileFlag))
	}
	if f.file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(f.file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	settings, err := parseFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file, err)
	}
	for name := range settings {
		if name == fileFlag || f.all.Lookup(name) == nil {
			return nil, fmt.Errorf("%s: unknown setting %q", f.file, name)
		}
	}
	return settings, nil
}

// parseFile takes one YAML mapping of names to scalars or lists of scalars.
func parseFile(data []byte) (map[string]string, error) {
	var nodes map[string]yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&nodes); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	settings := make(map[string]string, len(nodes))
	for name, node := range nodes {
		switch node.Kind {
		case yaml.ScalarNode:
			settings[name] = node.Value
		case yaml.SequenceNode:
			var list []string
			if err := node.Decode(&list); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			settings[name] = strings.Join(list, ",")
		default:
			return nil, fmt.Errorf("%s: must be a value or a list", name)
		}
	}
	return settings, nil
}
