package elasticache

import (
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/core"
	"github.com/larder-cache/larder/internal/resource"
)

// authOf writes a state as "[NONE,A]"; a credential's digest is its letter.
func authOf(state string) resource.Auth {
	var a resource.Auth
	for c := range strings.SplitSeq(strings.Trim(state, "[]"), ",") {
		if c == "NONE" {
			a.Credentials = append(a.Credentials, resource.Credential{None: true})
		} else if c != "" {
			a.Credentials = append(a.Credentials, resource.Credential{Digest: core.Sealed(c)})
		}
	}
	return a
}

func stateOf(a resource.Auth) string {
	var names []string
	for _, c := range a.Credentials {
		if c.None {
			names = append(names, "NONE")
		} else {
			names = append(names, string(c.Digest))
		}
	}
	return "[" + strings.Join(names, ",") + "]"
}

// knownIn finds the token in a state; the new token of a request is sealed
// anew, so that it equals nothing by its bytes.
func knownIn(a resource.Auth, token string) int {
	for i, c := range a.Credentials {
		if string(c.Digest) == token {
			return i
		}
	}
	return -1
}

func TestNextAuth(t *testing.T) {
	t.Parallel()
	const refused = "There is no AUTH token to SET"
	tests := []struct {
		from, strategy, token string
		want, change          string
		err                   string
	}{
		{from: "[]", strategy: "ROTATE", token: "A", want: "[NONE,A]", change: "ROTATING"},
		{from: "[NONE]", strategy: "ROTATE", token: "A", want: "[NONE,A]", change: "ROTATING"},
		{from: "[A]", strategy: "ROTATE", token: "A", want: "[A]"},
		{from: "[A]", strategy: "ROTATE", token: "B", want: "[A,B]", change: "ROTATING"},
		{from: "[NONE,A]", strategy: "ROTATE", token: "A", want: "[NONE,A]"},
		{from: "[NONE,A]", strategy: "ROTATE", token: "B", want: "[A,B]", change: "ROTATING"},
		{from: "[A,B]", strategy: "ROTATE", token: "B", want: "[A,B]"},
		{from: "[A,B]", strategy: "ROTATE", token: "C", want: "[B,C]", change: "ROTATING"},
		{from: "[A,B]", strategy: "ROTATE", token: "A", want: "[B,A]", change: "ROTATING"},

		{from: "[]", strategy: "SET", token: "A", want: "[A]", change: "SETTING"},
		{from: "[NONE]", strategy: "SET", token: "A", want: "[A]", change: "SETTING"},
		{from: "[A]", strategy: "SET", token: "A", want: "[A]"},
		{from: "[A]", strategy: "SET", token: "B", want: "[A]", err: refused},
		{from: "[NONE,A]", strategy: "SET", token: "A", want: "[A]", change: "SETTING"},
		{from: "[NONE,A]", strategy: "SET", token: "B", want: "[NONE,A]", err: refused},
		{from: "[A,B]", strategy: "SET", token: "B", want: "[B]", change: "SETTING"},
		{from: "[A,B]", strategy: "SET", token: "C", want: "[A,B]", err: refused},
		{from: "[A,B]", strategy: "SET", token: "A", want: "[A,B]", err: refused},

		{from: "[A]", strategy: "DELETE", token: "A", want: "[A]", err: "delete is not supported"},
		{from: "[NONE]", strategy: "DELETE", token: "A", want: "[NONE]", err: "delete is not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.from+" "+tt.strategy+" "+tt.token, func(t *testing.T) {
			t.Parallel()
			current := authOf(tt.from)
			before := stateOf(current)
			next, changed, err := nextAuth(current, resource.Credential{Digest: core.Sealed(tt.token)}, knownIn(current, tt.token), tt.strategy)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if changed != (tt.change != "") || next.Change != tt.change {
				t.Errorf("changed %t, change %q, want %q", changed, next.Change, tt.change)
			}
			if got := stateOf(next); got != tt.want {
				t.Errorf("state %s, want %s", got, tt.want)
			}
			if got := stateOf(current); got != before {
				t.Errorf("the current state was changed in place, to %s", got)
			}
		})
	}
}

// However tokens come, there are one or two credentials, NONE is only ever the
// oldest and never comes back once it is gone, and the token of an accepted
// change is the newest.
func FuzzNextAuth(f *testing.F) {
	f.Add("RARBRCSC")
	f.Add("SARBSBRA")
	f.Fuzz(func(t *testing.T, script string) {
		a := resource.Auth{}
		closed := false
		for i := 0; i+1 < len(script); i += 2 {
			strategy := strategyRotate
			if script[i] == 'S' {
				strategy = strategySet
			}
			token := string(rune('A' + script[i+1]%4))
			next, _, err := nextAuth(a, resource.Credential{Digest: core.Sealed(token)}, knownIn(a, token), strategy)
			if err != nil {
				continue
			}
			a = next
			state := stateOf(a)
			if n := len(a.Credentials); n < 1 || n > maxCredentials {
				t.Fatalf("%s has %d credentials", state, n)
			}
			if last := a.Credentials[len(a.Credentials)-1]; string(last.Digest) != token {
				t.Fatalf("%s %s %s: not the newest", state, strategy, token)
			}
			open := a.Credentials[0].None
			if open && closed {
				t.Fatalf("%s is open again", state)
			}
			closed = closed || !open
			if len(a.Credentials) == 2 && string(a.Credentials[0].Digest) == token {
				t.Fatalf("%s lists a token twice", state)
			}
		}
	})
}

func TestValidateAuthToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, token string
		ok          bool
	}{
		{"shortest", strings.Repeat("a", 16), true},
		{"longest", strings.Repeat("Z", 128), true},
		{"all punctuation", "0123456789!&#$^<>-", true},
		{"empty", "", false},
		{"too short", strings.Repeat("a", 15), false},
		{"too long", strings.Repeat("a", 129), false},
		{"space", "with a space in it", false},
		{"at", "0123456789abcdef@", false},
		{"quote", `0123456789abcdef"`, false},
		{"slash", "0123456789abcdef/", false},
		{"underscore", "0123456789abcdef_", false},
		{"percent", "0123456789abcdef%", false},
		{"not ASCII", "0123456789abcdefé", false},
		{"control", "0123456789abcdef\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := validateAuthToken(core.NewSecret(tt.token))
			if tt.ok && err != nil {
				t.Fatal(err)
			}
			if !tt.ok {
				wantError(t, err, "InvalidParameterValue", "Invalid AuthToken provided.")
			}
		})
	}
}
