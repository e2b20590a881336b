package query

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/aws/api"
	"github.com/larder-cache/larder/internal/aws/shape"
	"github.com/larder-cache/larder/internal/core"
)

type pair struct {
	Key   *string
	Value *string
}

type inner struct {
	Group *string
	Deep  *pair
}

type document struct {
	Name      *string
	Count     *int
	Ratio     *float64
	On        *bool
	Since     *time.Time
	Token     *core.Secret
	Mode      *string  `enum:"a|b"`
	Ids       []string `item:"Id"`
	Plain     []string
	Tags      []*pair `item:"Tag"`
	Inner     *inner
	Passwords []core.Secret
	Filters   []*pair `in:"Filter" out:"filterSet" item:"item"`
	Numbers   []int   `item:"N"`
}

var plan = shape.Of[document]()

// secrets compares core.Secret, whose value is unexported.
var secrets = cmp.Comparer(func(a, b core.Secret) bool { return a.Equal(b) })

func decode(query, body string) (*document, error) {
	f, err := Parse(query, body)
	if err != nil {
		return nil, err
	}
	d := &document{}
	return d, Decode(f, plan, d)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query, body string
		want        document
	}{
		"nothing": {},
		"scalars": {
			body: "Name=a%20b%2Bc+d&Count=-42&Ratio=1.5&On=true&Since=2026-01-02T03:04:05.678Z",
			want: document{Name: core.Ptr("a b+c d"), Count: core.Ptr(-42), Ratio: core.Ptr(1.5), On: core.Ptr(true),
				Since: core.Ptr(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC))},
		},
		"booleans in other spellings": {body: "On=False", want: document{On: core.Ptr(false)}},
		"empty string is a value":     {body: "Name=", want: document{Name: core.Ptr("")}},
		"empty choice is no choice":   {body: "Mode=", want: document{}},
		"no equals sign":              {body: "Name", want: document{Name: core.Ptr("")}},
		"unknown is ignored":          {body: "Nome=x&Tags.Tag.1.Colour=red&Inner.X.Y=1", want: document{Tags: []*pair{{}}, Inner: &inner{}}},
		"first of two wins":           {query: "Name=a", body: "Name=b&Name=c", want: document{Name: core.Ptr("a")}},
		"query and body":              {query: "Name=a", body: "Count=1", want: document{Name: core.Ptr("a"), Count: core.Ptr(1)}},
		"timestamp with zone":         {body: "Since=2026-01-02T04:04:05%2B01:00", want: document{Since: core.Ptr(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}},
		"timestamp without zone":      {body: "Since=2026-01-02T03:04:05", want: document{Since: core.Ptr(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}},
		"timestamp in minutes":        {body: "Since=2026-01-02T03:04Z", want: document{Since: core.Ptr(time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC))}},
		"day":                         {body: "Since=2026-01-02", want: document{Since: core.Ptr(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))}},
		"list by item name":           {body: "Ids.Id.1=a&Ids.Id.2=b", want: document{Ids: []string{"a", "b"}}},
		"list by member":              {body: "Ids.member.1=a&Ids.member.2=b", want: document{Ids: []string{"a", "b"}}},
		"flat list":                   {body: "Ids.1=a&Ids.2=b", want: document{Ids: []string{"a", "b"}}},
		"list out of order":           {body: "Ids.Id.10=c&Ids.Id.9=b&Ids.Id.1=a", want: document{Ids: []string{"a", "b", "c"}}},
		"list with gaps, large index": {body: "Plain.member.999999999=z&Plain.member.3=a", want: document{Plain: []string{"a", "z"}}},
		"index past all bounds":       {body: "Plain.1=a&Plain.99999999999999999999=b", want: document{Plain: []string{"a"}}},
		"empty list":                  {body: "Ids=&Tags=&Plain.member=", want: document{Ids: []string{}, Tags: []*pair{}, Plain: []string{}}},
		"list of structures": {
			body: "Tags.Tag.1.Key=k&Tags.Tag.1.Value=v&Tags.Tag.2.Key=l",
			want: document{Tags: []*pair{{Key: core.Ptr("k"), Value: core.Ptr("v")}, {Key: core.Ptr("l")}}},
		},
		"nested":          {body: "Inner.Group=g&Inner.Deep.Key=k", want: document{Inner: &inner{Group: core.Ptr("g"), Deep: &pair{Key: core.Ptr("k")}}}},
		"secrets":         {body: "Token=s3cret&Passwords.member.1=p", want: document{Token: core.Ptr(core.NewSecret("s3cret")), Passwords: []core.Secret{core.NewSecret("p")}}},
		"renamed":         {body: "Filter.1.Key=vpc-id&Filter.1.Value=v", want: document{Filters: []*pair{{Key: core.Ptr("vpc-id"), Value: core.Ptr("v")}}}},
		"list of numbers": {body: "Numbers.N.1=7", want: document{Numbers: []int{7}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(c.query, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&c.want, got, secrets); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"Count=many":                     "The parameter Count must be an integer.",
		"Count=":                         "The parameter Count must be an integer.",
		"Count=3000000000":               "The parameter Count must be an integer.",
		"Ratio=x":                        "The parameter Ratio must be a number.",
		"On=yes":                         "The parameter On must be true or false.",
		"Since=now":                      "The parameter Since must be a timestamp in ISO 8601 format.",
		"Name.1=x":                       "The parameter Name must be a single value.",
		"Ids=sg-1":                       "The parameter Ids must be a list.",
		"Ids.Name=x":                     "The parameter Ids must be a list.",
		"Ids.1.2=x":                      "The parameter Ids.1 must be a single value.",
		"Numbers.N.1=1&Numbers.N.5=five": "The parameter Numbers.2 must be an integer.",
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			_, err := decode("", body)
			var v *shape.Violation
			if !errors.As(err, &v) {
				t.Fatalf("got %v", err)
			}
			if e := Refusal(v); e.Code != "InvalidParameterValue" || e.Message != want {
				t.Fatalf("got %v", e)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		ok   bool
	}{
		"as many as allowed": {strings.Repeat("a=1&", maxParameters), true},
		"too many":           {strings.Repeat("a=1&", maxParameters+1), false},
		"as deep as allowed": {strings.Repeat("a.", maxDepth-1) + "a=1", true},
		"too deep":           {strings.Repeat("a.", maxDepth) + "a=1", false},
		"very deep":          {strings.Repeat(".", 1<<20) + "=1", false},
		"bad name escape":    {"%zz=1", false},
		"bad value escape":   {"a=%", false},
		"only ampersands":    {"&&&&", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse("", c.body); (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAppendStruct(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   document
		want string
	}{
		"absent is left out": {document{}, ""},
		"zero is written":    {document{Name: core.Ptr(""), Count: core.Ptr(0), On: core.Ptr(false)}, "<Name></Name><Count>0</Count><On>false</On>"},
		"scalars": {document{Count: core.Ptr(-7), Ratio: core.Ptr(12.5), On: core.Ptr(true), Since: core.Ptr(time.Date(2018, 1, 16, 21, 9, 34, 449e6, time.FixedZone("", 3600)))},
			"<Count>-7</Count><Ratio>12.5</Ratio><On>true</On><Since>2018-01-16T20:09:34.449Z</Since>"},
		"empty list":       {document{Ids: []string{}}, "<Ids/>"},
		"lists":            {document{Ids: []string{"a"}, Plain: []string{"b", "c"}}, "<Ids><Id>a</Id></Ids><Plain><member>b</member><member>c</member></Plain>"},
		"structures":       {document{Tags: []*pair{{Key: core.Ptr("k")}, {}}, Inner: &inner{Deep: &pair{}}}, "<Tags><Tag><Key>k</Key></Tag><Tag></Tag></Tags><Inner><Deep></Deep></Inner>"},
		"renamed":          {document{Filters: []*pair{{Key: core.Ptr("k")}}}, "<filterSet><item><Key>k</Key></item></filterSet>"},
		"numbers":          {document{Numbers: []int{1, 2}}, "<Numbers><N>1</N><N>2</N></Numbers>"},
		"secrets stay":     {document{Token: core.Ptr(core.NewSecret("x")), Passwords: []core.Secret{core.NewSecret("y")}}, ""},
		"escapes":          {document{Name: core.Ptr("<a href=\"x\">&'\r\n\t</a>")}, "<Name>&lt;a href=&quot;x&quot;&gt;&amp;'&#xD;\n\t&lt;/a&gt;</Name>"},
		"what XML forbids": {document{Name: core.Ptr("a\x00\x1b\xff\uffffé漢")}, "<Name>a\ufffd\ufffd\ufffd\ufffdé漢</Name>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, string(AppendStruct(nil, plan, &c.in))); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestEnvelopes(t *testing.T) {
	t.Parallel()
	svc := &api.Service{Namespace: "http://elasticache.amazonaws.com/doc/2015-02-02/"}
	wrapped := &api.Operation{Name: "CreateThing", Wrapper: "CreateThingResult", Output: plan}
	void := &api.Operation{Name: "DeleteThing"}
	for name, c := range map[string]struct{ got, want string }{
		"wrapped": {string(Response(svc, wrapped, &document{Name: core.Ptr("x")}, "id-1")),
			`<CreateThingResponse xmlns="http://elasticache.amazonaws.com/doc/2015-02-02/"><CreateThingResult><Name>x</Name></CreateThingResult>` +
				`<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></CreateThingResponse>`},
		"void": {string(Response(svc, void, nil, "id-2")),
			`<DeleteThingResponse xmlns="http://elasticache.amazonaws.com/doc/2015-02-02/"><ResponseMetadata><RequestId>id-2</RequestId></ResponseMetadata></DeleteThingResponse>`},
		"sender": {string(Error(svc.Namespace, "CacheClusterNotFound", "CacheCluster <x> not found.", 404, "id-3")),
			`<ErrorResponse xmlns="http://elasticache.amazonaws.com/doc/2015-02-02/"><Error><Type>Sender</Type><Code>CacheClusterNotFound</Code>` +
				`<Message>CacheCluster &lt;x&gt; not found.</Message></Error><RequestId>id-3</RequestId></ErrorResponse>`},
		"receiver": {string(Error(svc.Namespace, "InternalFailure", "m", 500, "id-4")),
			`<ErrorResponse xmlns="http://elasticache.amazonaws.com/doc/2015-02-02/"><Error><Type>Receiver</Type><Code>InternalFailure</Code>` +
				`<Message>m</Message></Error><RequestId>id-4</RequestId></ErrorResponse>`},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// FuzzDecode: whatever comes in, decoding ends, and what it yields can be
// validated and written as XML that parses.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"Name=a&Ids.Id.1=x", "Tags.Tag.1.Key=k&Tags.Tag.1.Value=%00", "Ids=&Inner.Deep.Key=%ff", "Filter.1.Key=a&Filter.01.Key=b", "Ids.Id=1&Ids.Id.2147483647=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := Parse("", body)
		if err != nil {
			return
		}
		d := &document{}
		if err := Decode(form, plan, d); err != nil {
			return
		}
		_ = plan.Validate(d)
		dec := xml.NewDecoder(bytes.NewReader(append(AppendStruct([]byte("<r>"), plan, d), "</r>"...)))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("the answer to %q does not parse: %v", body, err)
			}
		}
	})
}

func BenchmarkAppendStruct(b *testing.B) {
	d := &document{Name: core.Ptr("name"), Since: core.Ptr(time.Unix(0, 0))}
	for i := range 100 {
		d.Tags = append(d.Tags, &pair{Key: core.Ptr(fmt.Sprint(i)), Value: core.Ptr(strings.Repeat("v", 20))})
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = AppendStruct(nil, plan, d)
	}
}

func TestDecodeLeavesNoNilElements(t *testing.T) {
	t.Parallel()
	d, err := decode("", "Tags.Tag.1.Key=a&Tags.Tag.7=&Tags.Tag.9.Nope=1")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range d.Tags {
		if p == nil {
			t.Fatalf("element %d of %v is nil", i, reflect.ValueOf(d.Tags))
		}
	}
}
