package valkey

import (
	"fmt"
	"strings"
	"testing"
)

func TestDivide(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		sizes []int64
		want  string
	}{
		{"one", []int64{1}, "[k0] 1"},
		{"all fit", []int64{1, 2, loadSize - 3}, "[k0 k1 k2] 32768"},
		{"one is too many", []int64{1, 2, loadSize - 2}, "[k0 k1] 3, [k2] 32766"},
		{"large ones go alone", []int64{5 * loadSize, 3 * loadSize, 7}, "[k0] 163840, [k1] 98304, [k2] 7"},
		{"a large one between small ones", []int64{1, 2 * loadSize, 3, 4}, "[k0] 1, [k1] 65536, [k2 k3] 7"},
		{"gone meanwhile", []int64{0, 0}, "[k0 k1] 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var names []string
			for i := range tt.sizes {
				names = append(names, fmt.Sprintf("k%d", i))
			}
			var got []string
			for _, l := range divide(names, tt.sizes) {
				got = append(got, fmt.Sprintf("%v %d", l.names, l.size))
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
