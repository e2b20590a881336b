package awsjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

type tag struct {
	TagKey   *string
	TagValue *string
}

type document struct {
	LogGroupName *string `in:"logGroupName" out:"logGroupName"`
	Days         *int
	Share        *float64
	On           *bool
	Created      *time.Time
	Token        *core.Secret
	Names        []string
	Tags         []*tag
	Tag          *tag
	Passwords    []core.Secret
	Times        []time.Time
}

var plan = shape.Of[document]()

var secrets = cmp.Comparer(func(a, b core.Secret) bool { return a.Equal(b) })

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want document
	}{
		"empty body":   {"", document{}},
		"empty object": {"{}", document{}},
		"everything": {`{"logGroupName":"g","Days":7,"Share":0.5,"On":false,"Created":1136214245.678,"Token":"t","Names":["a","b"],
			"Tags":[{"TagKey":"k","TagValue":"v"},{}],"Tag":{"TagKey":"x"},"Passwords":["p"],"Times":[0]}`,
			document{LogGroupName: core.Ptr("g"), Days: core.Ptr(7), Share: core.Ptr(0.5), On: core.Ptr(false),
				Created: core.Ptr(time.UnixMilli(1136214245678).UTC()), Token: core.Ptr(core.NewSecret("t")), Names: []string{"a", "b"},
				Tags: []*tag{{TagKey: core.Ptr("k"), TagValue: core.Ptr("v")}, {}}, Tag: &tag{TagKey: core.Ptr("x")},
				Passwords: []core.Secret{core.NewSecret("p")}, Times: []time.Time{time.UnixMilli(0).UTC()}}},
		"null is absent":     {`{"Days":null,"Names":null,"Tag":null}`, document{}},
		"unknown is ignored": {`{"Other":{"a":[1]}}`, document{}},
		"empty list":         {`{"Names":[],"Tags":[]}`, document{Names: []string{}, Tags: []*tag{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got document
			if err := Decode([]byte(c.body), plan, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, secrets); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{`:                    ErrMalformed.Error(),
		`[]`:                   ErrMalformed.Error(),
		`null`:                 ErrMalformed.Error(),
		`{} {}`:                ErrMalformed.Error(),
		`{"Days":"7"}`:         "parameter Days must be an integer.",
		`{"Days":7.5}`:         "parameter Days must be an integer.",
		`{"On":1}`:             "parameter On must be true or false.",
		`{"Share":"x"}`:        "parameter Share must be a number.",
		`{"Created":"now"}`:    "parameter Created must be a timestamp in seconds.",
		`{"Created":1e300}`:    "parameter Created must be a timestamp in seconds.",
		`{"Names":"a"}`:        "parameter Names must be a list.",
		`{"Names":["a",null]}`: "parameter Names.2 must be a string.",
		`{"Tags":[null]}`:      "parameter Tags.1 must be an object.",
		`{"Tag":7}`:            "parameter Tag must be an object.",
		`{"Token":{}}`:         "parameter Token must be a string.",
		`{"Passwords":[null]}`: "parameter Passwords.1 must be a string.",
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			err := Decode([]byte(body), plan, &document{})
			var v *shape.Violation
			if err == nil || err.Error() != want || errors.As(err, &v) == errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	d := &document{LogGroupName: core.Ptr("a\"<\n"), Days: core.Ptr(0), Share: core.Ptr(1e21), On: core.Ptr(true), Created: core.Ptr(time.UnixMilli(1136214245678)),
		Token: core.Ptr(core.NewSecret("hidden")), Names: []string{}, Tags: []*tag{{TagKey: core.Ptr("k")}, {}}, Passwords: []core.Secret{core.NewSecret("hidden")}}
	const want = `{"logGroupName":"a\"\u003c\n","Days":0,"Share":1e+21,"On":true,"Created":1136214245.678,"Names":[],"Tags":[{"TagKey":"k"},{}]}`
	if got := string(Response(plan, d)); got != want {
		t.Errorf("got %s", got)
	}
	if got := string(Response(nil, nil)); got != "{}" {
		t.Errorf("no result: %s", got)
	}
	if got := string(Error("NotFoundException", `no "x"`)); got != `{"__type":"NotFoundException","message":"no \"x\""}` {
		t.Errorf("error: %s", got)
	}
	if e := Refusal(&shape.Violation{Parameter: "Days", Rule: "must be an integer."}); !strings.Contains(e.Error(), "ValidationException: The parameter Days must be an integer.") {
		t.Errorf("refusal: %v", e)
	}
}

// FuzzDecode: what is decoded can be written, and read again to the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"logGroupName":"g","Days":7,"Created":1.5,"Tags":[{"TagKey":"k"}],"Names":["a"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var d, again document
		if Decode(body, plan, &d) != nil {
			return
		}
		d.Token, d.Passwords = nil, nil
		out := Response(plan, &d)
		if !json.Valid(out) {
			t.Fatalf("%s is not JSON", out)
		}
		if err := Decode(out, plan, &again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
