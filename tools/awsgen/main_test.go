package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCommitted generates twice: the result is the same each time, and what is
// committed.
func TestCommitted(t *testing.T) {
	t.Parallel()
	const committed = "../../internal/aws/gen"
	for range 2 {
		out := t.TempDir()
		if err := run(out); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(out, "*", "*.go"))
		if err != nil || len(files) != 4*len(services) {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			rel, err := filepath.Rel(out, f)
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := os.ReadFile(filepath.Join(committed, rel))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(fresh, stored) {
				t.Errorf("%s is not what the generator writes; run go generate ./...", rel)
			}
		}
	}
}

const tinyModel = `{
	"metadata": {"protocol": "ec2"},
	"operations": {"Do": {"input": {"shape": "In"}, "output": {"shape": "Out"}}},
	"shapes": {
		"S": {"type": "string"},
		"Mode": {"type": "string", "enum": ["a", "b"]},
		"Modes": {"type": "list", "member": {"shape": "Mode", "locationName": "item"}, "max": 3},
		"In": {"type": "structure", "required": ["Zulu"], "members": {
			"Zulu": {"shape": "S", "locationName": "zuluName"},
			"Alpha": {"shape": "Modes", "locationName": "alphaSet", "queryName": "AlphaName"},
			"Secret": {"shape": "S"}}},
		"Out": {"type": "structure", "members": {"Modes": {"shape": "Modes", "locationName": "modeSet"}}},
		"NotFoundFault": {"type": "structure", "members": {}, "exception": true, "error": {"code": "NotFound", "httpStatusCode": 404}},
		"Broken": {"type": "structure", "members": {}, "exception": true, "fault": true},
		"Odd": {"type": "map"}
	}}`

func tiny(t *testing.T, overlay string) *generator {
	t.Helper()
	m := &model{}
	if err := json.Unmarshal([]byte(tinyModel), m); err != nil {
		t.Fatal(err)
	}
	if err := m.merge([]byte(overlay)); err != nil {
		t.Fatal(err)
	}
	g := &generator{name: "tiny", m: m, actions: []string{"Do"}}
	var err error
	if g.inputs, err = m.reach([]string{"In"}); err != nil {
		t.Fatal(err)
	}
	if g.outputs, err = m.reach([]string{"Out"}); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTypes(t *testing.T) {
	t.Parallel()
	g := tiny(t, `{"shapes": {"In": {"members": {"Secret": {"shape": "S", "sensitive": true}, "New": {"shape": "S"}}}, "Mode": {"enum": []}}}`)
	var b bytes.Buffer
	if err := g.types(&b, []string{"In", "Out"}); err != nil {
		t.Fatal(err)
	}
	const want = "type In struct {\n" +
		"\tZulu *string `in:\"ZuluName\" required:\"true\"`\n" +
		"\tAlpha []string `in:\"AlphaName\" max:\"3\"`\n" +
		"\tSecret *core.Secret\n" +
		"\tNew *string\n" +
		"}\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if out := "type Out struct {\n\tModes []string `out:\"modeSet\" item:\"item\"`\n}\n"; !strings.Contains(b.String(), out) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), out)
	}
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	g := tiny(t, `{"shapes": {"In": {"members": {"New": {"shape": "Odd"}}}}}`)
	if err := g.types(&bytes.Buffer{}, []string{"In"}); err == nil || !strings.Contains(err.Error(), `In.New: shape Odd: type "map" is not supported`) {
		t.Errorf("got %v", err)
	}
	if _, err := g.m.reach([]string{"Nowhere"}); err == nil {
		t.Error("an unknown shape is reached")
	}
	if err := g.m.merge([]byte(`{"shape": {}}`)); err == nil {
		t.Error("an overlay with an unknown key is taken")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	g := tiny(t, `{}`)
	for name, want := range map[string]struct {
		code   string
		status int
	}{"NotFoundFault": {"NotFound", 404}, "Broken": {"Broken", 500}} {
		if code, status := g.fault(name); code != want.code || status != want.status {
			t.Errorf("%s: %s %d", name, code, status)
		}
	}
}

func TestServedActionsAreSorted(t *testing.T) {
	t.Parallel()
	for _, s := range services {
		b, err := os.ReadFile(filepath.Join("actions", s.name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if names := strings.Fields(string(b)); !slices.IsSorted(names) || len(names) != len(slices.Compact(names)) {
			t.Errorf("%s: actions are not sorted, or one comes twice", s.name)
		}
	}
}
