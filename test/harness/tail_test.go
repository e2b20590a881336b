package harness

import "testing"

func TestTail(t *testing.T) {
	t.Parallel()
	var got tail
	for _, part := range []string{
		"one\nlevel=INFO msg=requ", `est status=200 code="" bytes=7`, "\ntwo\n",
		"level=INFO msg=request status=400 code=InvalidAction bytes=7\nthr", "ee",
	} {
		if n, err := got.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "one\ntwo\nlevel=INFO msg=request status=400 code=InvalidAction bytes=7\nthree"; got.String() != want {
		t.Errorf("%q", got.String())
	}
}
