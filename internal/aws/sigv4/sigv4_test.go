package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/larder-cache/larder/internal/core"
)

const testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

var (
	testTime  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	testCreds = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: testSecret}
)

// received is req as a server gets it: written to the wire and read again.
func received(t *testing.T, req *http.Request) (*http.Request, []byte) {
	t.Helper()
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, body
}

func verify(r *http.Request, body []byte, secret string, now time.Time) error {
	s, err := Parse(r)
	if err != nil {
		return err
	}
	return s.Verify(r, body, core.NewSecret(secret), now)
}

func newRequest(t *testing.T, method, rawURL, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, rawURL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// signed is a request of the AWS SDK's signer.
func signed(t *testing.T, method, rawURL, body string, headers map[string]string) *http.Request {
	t.Helper()
	req := newRequest(t, method, rawURL, body)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), testCreds, req, hashOf(body), "elasticache", "us-east-1", testTime); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestKnownSignature(t *testing.T) {
	t.Parallel()
	const body = "Action=DescribeCacheClusters&Version=2015-02-02"
	req := newRequest(t, "POST", "https://elasticache.us-east-1.amazonaws.com/", body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("X-Amz-Date", "20260102T030405Z")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/elasticache/aws4_request,"+
		"SignedHeaders=content-type;host;x-amz-date,Signature=d9214d100cc344e7b557ee94c442b3f2e275763152d509e89dec3be49b279038")
	r, b := received(t, req)
	if err := verify(r, b, testSecret, testTime); err != nil {
		t.Fatal(err)
	}
	if err := verify(r, b, testSecret+"x", testTime); err == nil {
		t.Fatal("a wrong secret verifies")
	}
}

// The tokens with which a client logs in to a cache are presigned requests too.
func TestKnownPresignedSignatures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ extra, signature string }{
		"node-based": {"", "bfeac349ee1d596150831f38017b883380aad2f0b563a879ddf7d178e2528d0f"},
		"serverless": {"&ResourceType=ServerlessCache", "e3502affcabf89b872a0bf3965f9ffc663a94c1ff502b75d6eb58f0e14902e7a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(t, "GET", "http://my-cache/?Action=connect&User=iam-user-01"+c.extra+
				"&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Fus-east-1%2Felasticache%2Faws4_request"+
				"&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="+c.signature, "")
			if err := verify(r, nil, testSecret, testTime.Add(899*time.Second)); err != nil {
				t.Fatal(err)
			}
			err := verify(r, nil, testSecret, testTime.Add(901*time.Second))
			if err == nil || !strings.Contains(err.Error(), "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T031906Z - 15 min.)") {
				t.Fatalf("after its time: %v", err)
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now  time.Time
		want string
	}{
		"same second":  {testTime, ""},
		"old enough":   {testTime.Add(MaxSkew), ""},
		"young enough": {testTime.Add(-MaxSkew), ""},
		"too old": {testTime.Add(MaxSkew + time.Second),
			"Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T031906Z - 15 min.)"},
		"too young": {testTime.Add(-MaxSkew - time.Second),
			"Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z (20260102T024904Z + 15 min.)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, b := received(t, signed(t, "POST", "http://127.0.0.1:4566/", "Action=X", nil))
			err := verify(r, b, testSecret, c.now)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Reason != Mismatch || e.Message != c.want {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestTampering changes one thing of a signed request at a time: every one of
// them must break the signature.
func TestTampering(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *http.Request, body *[]byte){
		"method":        func(r *http.Request, _ *[]byte) { r.Method = "PUT" },
		"host":          func(r *http.Request, _ *[]byte) { r.Host = "127.0.0.1:4567" },
		"path":          func(r *http.Request, _ *[]byte) { r.URL.Path = "/b" },
		"query":         func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "a=1" },
		"body":          func(_ *http.Request, b *[]byte) { *b = append(*b, '&') },
		"signed header": func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Type", "text/plain") },
		"date":          func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Date", "20260102T030406Z") },
		"body hash":     func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Content-Sha256", hashOf("other")) },
		"unsigned body": func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"added target":  func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Target", "A.B") },
		"added token":   func(r *http.Request, _ *[]byte) { r.Header.Set("X-Amz-Security-Token", "x") },
		"added length":  func(r *http.Request, _ *[]byte) { r.ContentLength = 2 },
		"scope region":  editAuthorization("us-east-1", "us-east-2"),
		"scope service": editAuthorization("elasticache", "ec2"),
		"scope date":    editAuthorization("/20260102/", "/20260103/"),
		"fewer headers": editAuthorization("content-type;", ""),
		"no host":       editAuthorization("host;", ""),
		"not hex":       editAuthorization("Signature=", "Signature=zz"),
		"half signature": func(r *http.Request, _ *[]byte) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-32])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, body := received(t, signed(t, "POST", "http://127.0.0.1:4566/a?x=y", "Action=X", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}))
			if err := verify(r, body, testSecret, testTime); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			change(r, &body)
			var e *Error
			if err := verify(r, body, testSecret, testTime); !errors.As(err, &e) || e.Reason != Mismatch {
				t.Fatalf("after the change: %v", err)
			}
		})
	}
}

func editAuthorization(from, to string) func(*http.Request, *[]byte) {
	return func(r *http.Request, _ *[]byte) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	const good = "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/elasticache/aws4_request, SignedHeaders=host, Signature=00"
	for name, c := range map[string]struct {
		header, date, query string
		reason              Reason
		words               string
	}{
		"nothing":            {reason: Missing, words: "Request is missing Authentication Token"},
		"other scheme":       {header: "Basic Zm9v", date: "20260102T030405Z", reason: Incomplete, words: "Unsupported AWS 'algorithm'"},
		"no credential":      {header: "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", reason: Incomplete, words: "requires 'Credential' parameter"},
		"no signed headers":  {header: "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=00", reason: Incomplete, words: "requires 'SignedHeaders' parameter"},
		"no signature":       {header: "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host", reason: Incomplete, words: "requires 'Signature' parameter"},
		"no date":            {header: good, reason: Incomplete, words: "'X-Amz-Date'"},
		"date in words":      {header: good, date: "yesterday", reason: Incomplete, words: "ISO-8601"},
		"short scope":        {header: strings.Replace(good, "/elasticache", "", 1), date: "20260102T030405Z", reason: Incomplete, words: "5 slash-delimited"},
		"newline in key":     {header: strings.Replace(good, "AKID", "AK\tID", 1), date: "20260102T030405Z", reason: Incomplete, words: "5 slash-delimited"},
		"query: algorithm":   {query: "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", reason: Incomplete, words: "Unsupported AWS 'algorithm'"},
		"query: no date":     {query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=0&X-Amz-SignedHeaders=host", reason: Incomplete, words: "'X-Amz-Date'"},
		"query: over a week": {query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=0&X-Amz-SignedHeaders=host&X-Amz-Date=20260102T030405Z&X-Amz-Expires=604801", reason: Incomplete, words: "604800"},
		"query: negative":    {query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=0&X-Amz-SignedHeaders=host&X-Amz-Date=20260102T030405Z&X-Amz-Expires=-1", reason: Incomplete, words: "604800"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(t, "GET", "http://127.0.0.1/?"+c.query, "")
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			if c.date != "" {
				r.Header.Set("X-Amz-Date", c.date)
			}
			_, err := Parse(r)
			var e *Error
			if !errors.As(err, &e) || e.Reason != c.reason || !strings.Contains(e.Message, c.words) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestHeaderForms(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"no spaces": func(r *http.Request) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ", ", ","))
		},
		"content hash sent too": func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf("Action=X")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, b := received(t, signed(t, "POST", "http://127.0.0.1:4566/", "Action=X", nil))
			change(r)
			if err := verify(r, b, testSecret, testTime); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSessionTokenIsReturned(t *testing.T) {
	t.Parallel()
	creds := testCreds
	creds.SessionToken = "session/token+1=="
	header := newRequest(t, "POST", "http://127.0.0.1/", "")
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, header, hashOf(""), "sts", "us-east-1", testTime); err != nil {
		t.Fatal(err)
	}
	presigned, _, err := v4.NewSigner().PresignHTTP(context.Background(), creds, newRequest(t, "GET", "http://127.0.0.1/?Action=X", ""), hashOf(""), "sts", "us-east-1", testTime)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*http.Request{"header": header, "presigned": newRequest(t, "GET", presigned, "")} {
		s, err := Parse(r)
		if err != nil || s.SessionToken != creds.SessionToken || s.Service != "sts" {
			t.Fatalf("%s: %+v, %v", name, s, err)
		}
		if err := s.Verify(r, nil, core.NewSecret(testSecret), testTime); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// TestRandomRequests signs requests of all shapes with the AWS SDK and verifies
// them after a trip over the wire.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	const alphabet = "abcXYZ019-_.~ /+=&%*'()!@:;,?#é漢\"\\"
	word := func(most int) string {
		runes := []rune(alphabet)
		b := make([]rune, rnd.IntN(most))
		for i := range b {
			b[i] = runes[rnd.IntN(len(runes))]
		}
		return string(b)
	}
	for range 500 {
		q := url.Values{}
		for range rnd.IntN(5) {
			q.Add("k"+word(6), word(12))
		}
		u := url.URL{Scheme: "http", Host: "127.0.0.1:4566", Path: "/" + word(10), RawQuery: q.Encode()}
		method, body := "GET", ""
		if rnd.IntN(2) == 0 {
			method, body = "POST", word(40)
		}
		if rnd.IntN(2) == 0 {
			r, b := received(t, signed(t, method, u.String(), body, map[string]string{"X-Amz-Meta": "a  b   c ", "Content-Type": "text/plain"}))
			if err := verify(r, b, testSecret, testTime); err != nil {
				t.Fatalf("%s %s: %v", method, u.String(), err)
			}
			continue
		}
		u.RawQuery += "&X-Amz-Expires=60"
		signedURL, _, err := v4.NewSigner().PresignHTTP(context.Background(), testCreds, newRequest(t, method, u.String(), body), hashOf(body), "elasticache", "us-east-1", testTime)
		if err != nil {
			t.Fatal(err)
		}
		r, b := received(t, newRequest(t, method, signedURL, body))
		if err := verify(r, b, testSecret, testTime.Add(59*time.Second)); err != nil {
			t.Fatalf("presigned %s %s: %v", method, signedURL, err)
		}
	}
}

// botocore removes empty and dot segments before it signs.
func TestNormalisedPath(t *testing.T) {
	t.Parallel()
	clean := signed(t, "GET", "http://127.0.0.1/a/b/", "", nil)
	r, b := received(t, clean)
	r.URL.Path = "/a//./c/../b/"
	if err := verify(r, b, testSecret, testTime); err != nil {
		t.Fatal(err)
	}
	r.URL.Path = "/a//b/c"
	if verify(r, b, testSecret, testTime) == nil {
		t.Fatal("another path verifies")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/elasticache/aws4_request, SignedHeaders=host, Signature=00", "20260102T030405Z", "a=b")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=0&X-Amz-SignedHeaders=host&X-Amz-Date=20260102T030405Z")
	f.Fuzz(func(t *testing.T, header, date, query string) {
		r := &http.Request{Method: "POST", Host: "h", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{"X-Amz-Date": {date}}}
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		if verify(r, nil, testSecret, testTime) == nil {
			t.Fatal("a forged signature verifies")
		}
	})
}
