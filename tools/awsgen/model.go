package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// model is the part of a public shape model that we use.
type model struct {
	Metadata struct {
		APIVersion   string `json:"apiVersion"`
		Protocol     string `json:"protocol"`
		XMLNamespace string `json:"xmlNamespace"`
		TargetPrefix string `json:"targetPrefix"`
	} `json:"metadata"`
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
}

type operation struct {
	Input, Output *ref
	Errors        []ref
}

// ref is a use of a shape: by an operation, as a member or as a list's element.
type ref struct {
	Shape         string
	ResultWrapper string
	LocationName  string
	QueryName     string
	Flattened     bool
	Sensitive     bool
}

type shape struct {
	Type         string
	Members      members
	Member       *ref
	Required     []string
	Enum         []string
	Min, Max     *float64
	Pattern      string
	LocationName string
	Flattened    bool
	Error        *struct {
		Code           string
		HTTPStatusCode int
	}
	Exception bool
	Fault     bool
}

// members are a structure's members in the order of the model, which is the
// order of the elements in an answer.
type members struct {
	names []string
	refs  map[string]*ref
}

// UnmarshalJSON keeps the order of the keys; members that are there already are
// replaced, new ones are added at the end.
func (m *members) UnmarshalJSON(b []byte) error {
	if m.refs == nil {
		m.refs = map[string]*ref{}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		r := &ref{}
		if err := d.Decode(r); err != nil {
			return err
		}
		key := name.(string)
		if _, ok := m.refs[key]; !ok {
			m.names = append(m.names, key)
		}
		m.refs[key] = r
	}
	return nil
}

// load reads a service's model and merges our overlay into it.
func load(modelFile, overlayFile string) (*model, error) {
	b, err := os.ReadFile(modelFile)
	if err != nil {
		return nil, err
	}
	m := &model{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(modelFile), err)
	}
	b, err = os.ReadFile(overlayFile)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := m.merge(b); err != nil {
		return nil, fmt.Errorf("%s: %w", overlayFile, err)
	}
	return m, nil
}

// merge lays the operations and shapes of an overlay over the model's: one that
// exists keeps what the overlay does not name.
func (m *model) merge(overlay []byte) error {
	var raw struct {
		Comment    string                     `json:"comment"`
		Namespace  string                     `json:"xmlNamespace"`
		Operations map[string]json.RawMessage `json:"operations"`
		Shapes     map[string]json.RawMessage `json:"shapes"`
	}
	d := json.NewDecoder(bytes.NewReader(overlay))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return err
	}
	if raw.Namespace != "" {
		m.Metadata.XMLNamespace = raw.Namespace
	}
	for name, patch := range raw.Operations {
		if m.Operations[name] == nil {
			return fmt.Errorf("the model has no operation %s", name)
		}
		if err := json.Unmarshal(patch, m.Operations[name]); err != nil {
			return fmt.Errorf("operation %s: %w", name, err)
		}
	}
	for name, patch := range raw.Shapes {
		if m.Shapes[name] == nil {
			m.Shapes[name] = &shape{}
		}
		if err := json.Unmarshal(patch, m.Shapes[name]); err != nil {
			return fmt.Errorf("shape %s: %w", name, err)
		}
	}
	return nil
}

// actions reads the list of served actions, one a line.
func actions(file string, m *model) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(string(b))
	for _, n := range names {
		if m.Operations[n] == nil {
			return nil, fmt.Errorf("%s: the model has no action %s", file, n)
		}
	}
	return names, nil
}

// reach is the set of shapes that are used by the given ones, themselves included.
func (m *model) reach(roots []string) (map[string]bool, error) {
	seen := map[string]bool{}
	for len(roots) > 0 {
		name := roots[len(roots)-1]
		roots = roots[:len(roots)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		s := m.Shapes[name]
		if s == nil {
			return nil, fmt.Errorf("no shape %s", name)
		}
		for _, n := range s.Members.names {
			roots = append(roots, s.Members.refs[n].Shape)
		}
		if s.Member != nil {
			roots = append(roots, s.Member.Shape)
		}
	}
	return seen, nil
}
