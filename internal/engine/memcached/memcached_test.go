package memcached

import (
	"bufio"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/engine"
	"github.com/larder-cache/larder/internal/runtime"
)

func TestRender(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		settings map[string]string
		files    int
		want     string
		unknown  string
	}{
		{"nothing", nil, 70000, "--conn-limit=65000", ""},
		{"fewer descriptors than connections", map[string]string{"conn-limit": "65000"}, 20000, "--conn-limit=19744", ""},
		{
			"of every kind", map[string]string{
				"threads": "2", "conn-limit": "10", "disable-cas": "yes", "disable-evictions": "0", "slab_chunk_max": "524288",
				"lru_crawler": "no", "lru_maintainer": "yes", "no_modern": "1", "track_sizes": "disabled", "hashpower": "16",
			}, 1000,
			"--conn-limit=10 --disable-cas --threads=2 -o no_modern,hashpower=16,no_lru_crawler,lru_maintainer,slab_chunk_max=524288", "",
		},
		{"unknown", map[string]string{"conn-limit": "10", "zz": "1", "aa": "1"}, 1000, "--conn-limit=10", "aa zz"},
	} {
		args, unknown, err := render(c.settings, c.files)
		if err != nil || strings.Join(args, " ") != c.want || strings.Join(unknown, " ") != c.unknown {
			t.Errorf("%s: %v %v %v", c.name, args, unknown, err)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"another option in a value":   {"hashpower": "16,ext_path=/tmp/x:1G"},
		"neither yes nor no":          {"disable-cas": "maybe"},
		"limit that is not a number":  {"conn-limit": "many"},
		"no connection at all":        {"conn-limit": "0"},
		"another argument in a value": {"threads": "1 -d"},
	} {
		if args, _, err := render(settings, 1000); err == nil {
			t.Errorf("%s: %v", name, args)
		}
	}
	if _, _, err := render(nil, otherFiles); err == nil {
		t.Error("no descriptors: taken")
	}
}

func TestLaunchRefusesLongSockets(t *testing.T) {
	t.Parallel()
	_, err := Driver{}.Launch(engine.Binary{}, &runtime.Node{}, engine.Place{Socket: strings.Repeat("x", 108), Descriptors: 1000})
	if err == nil {
		t.Error("taken")
	}
}

func TestReadStats(t *testing.T) {
	t.Parallel()
	got, err := readStats(bufio.NewReader(strings.NewReader("STAT pid 1\r\nSTAT domain_socket /a b\r\nSTAT empty \r\nSTAT bare\r\nEND\r\n")))
	if err != nil || got["pid"] != "1" || got["domain_socket"] != "/a b" || len(got) != 4 {
		t.Errorf("%v %v", got, err)
	}
	for _, in := range []string{"", "ERROR\r\n", "STAT\r\n", "STAT a b\r\n", strings.Repeat("x", 5000) + "\n"} {
		if _, err := readStats(bufio.NewReaderSize(strings.NewReader(in), 4096)); err == nil {
			t.Errorf("%.20q is taken", in)
		}
	}
}

func FuzzReadStats(f *testing.F) {
	f.Add("STAT a b\r\nEND\r\n")
	f.Fuzz(func(_ *testing.T, in string) {
		_, _ = readStats(bufio.NewReaderSize(strings.NewReader(in), 64))
	})
}
